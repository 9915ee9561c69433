//! What a URL of the admin API may say: each thing that it says is known, and of its form.

use std::collections::HashMap;
use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::web::Query;
use actix_web::{FromRequest, HttpRequest};

use crate::error::ApiError;
use crate::subscription::{Filter, MAX_PAGE, Page, Transport};

/// Entries of one page, unless the caller asks for another number.
const PAGE: usize = 100;
/// The longest time for which a reader is kept out: a day.
const MAX_BLOCK_SECONDS: u64 = 24 * 60 * 60;

/// `?session=&principal=&table=&transport=&limit=&after=`
pub struct ListQuery {
    pub filter: Filter,
    pub page: Page,
}

/// `?limit=&after=`
pub struct Paged(pub Page);

/// `?block=`: seconds for which readers are kept out; 0 without it.
pub struct Block(pub u64);

type Fields = HashMap<String, String>;

impl FromRequest for ListQuery {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(read(request, |fields| {
            let transport = match fields.remove("transport").as_deref() {
                None => None,
                Some("long_poll") => Some(Transport::LongPoll),
                Some("sse") => Some(Transport::Sse),
                Some(_) => return Err(ApiError::invalid("transport", "long_poll or sse")),
            };
            let mut text = |name: &str| fields.remove(name);
            let filter = Filter {
                session: text("session"),
                principal: text("principal"),
                // As it is listed, so that what was listed can be asked for.
                table: text("table"),
                transport,
            };
            Ok(Self { filter, page: page(fields)? })
        }))
    }
}

impl FromRequest for Paged {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(read(request, page).map(Self))
    }
}

impl FromRequest for Block {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(read(request, |fields| {
            let Some(text) = fields.remove("block") else { return Ok(Self(0)) };
            let seconds = text.parse().ok().filter(|seconds| (1..=MAX_BLOCK_SECONDS).contains(seconds));
            let expected = format!("whole seconds from 1 to {MAX_BLOCK_SECONDS}");
            seconds.map(Self).ok_or_else(|| ApiError::invalid("block", expected))
        }))
    }
}

/// Reads the fields of a URL, all of which must be taken.
fn read<T>(request: &HttpRequest, take: impl FnOnce(&mut Fields) -> Result<T, ApiError>) -> Result<T, ApiError> {
    let fields = Query::<Fields>::from_query(request.query_string());
    let mut fields = fields.map_err(|_| ApiError::invalid("query", "name=value&..."))?.into_inner();
    let taken = take(&mut fields)?;
    match fields.into_keys().min() {
        None => Ok(taken),
        Some(unknown) => Err(ApiError::invalid(unknown, "no such field")),
    }
}

fn page(fields: &mut Fields) -> Result<Page, ApiError> {
    let limit = match fields.remove("limit") {
        None => PAGE,
        Some(text) => {
            let expected = format!("a whole number from 1 to {MAX_PAGE}");
            let limit = text.parse().ok().filter(|limit| (1..=MAX_PAGE).contains(limit));
            limit.ok_or_else(|| ApiError::invalid("limit", expected))?
        }
    };
    Ok(Page { after: fields.remove("after"), limit })
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn asked<T: FromRequest<Error = ApiError, Future = Ready<Result<T, ApiError>>>>(query: &str) -> Result<T, String> {
        let request = TestRequest::with_uri(&format!("/x?{query}")).to_http_request();
        T::from_request(&request, &mut Payload::None).into_inner().map_err(|error| error.to_string())
    }

    #[test]
    fn a_list_is_filtered_by_what_its_url_says() {
        let Ok(ListQuery { filter, page }) = asked("session=a%20b&table=parts&transport=sse&limit=7&after=sub_1")
        else {
            panic!("a valid query")
        };
        let expected = Filter {
            session: Some("a b".into()),
            table: Some("parts".into()),
            transport: Some(Transport::Sse),
            ..Filter::default()
        };
        assert_eq!((filter, page), (expected, Page { after: Some("sub_1".into()), limit: 7 }));
        let Ok(ListQuery { filter, page }) = asked("") else { panic!("an empty query") };
        assert_eq!((filter, page), (Filter::default(), Page { after: None, limit: PAGE }));
    }

    #[test]
    fn what_is_wrong_in_a_url_is_named() {
        let list = [
            ("limit=0", "limit: expected a whole number from 1 to 500"),
            ("limit=501", "limit: expected a whole number from 1 to 500"),
            ("limit=x", "limit: expected a whole number from 1 to 500"),
            ("transport=udp", "transport: expected long_poll or sse"),
            ("sesion=a", "sesion: expected no such field"),
        ];
        for (query, expected) in list {
            assert_eq!(asked::<ListQuery>(query).map(drop), Err(expected.to_owned()), "{query}");
        }
        for query in ["block=0", "block=-1", "block=86401", "block=x", "block="] {
            let refused = asked::<Block>(query).map(drop);
            assert_eq!(refused, Err("block: expected whole seconds from 1 to 86400".to_owned()), "{query}");
        }
        assert_eq!(asked::<Block>("block=86400").map(|block| block.0), Ok(86_400));
        assert_eq!(asked::<Paged>("after=").map(|page| page.0.after), Ok(Some(String::new())));
    }
}
