//! `POST /v1/shape/first`: several long-polls in one request, which is answered by the first of them that has an answer.
//!
//! Over HTTP/1.1 a browser opens six connections to a host, so a page that follows more shapes than that would wait for
//! itself. Here one connection waits for up to 64 of them. What is answered is one shape's answer as it is, so nothing is
//! framed anew, and the next call is an ordinary request: it may go to another process, and through any proxy.

use std::sync::Arc;
use std::time::Duration;

use actix_web::http::Method;
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::middleware::from_fn;
use actix_web::web::{self, Data, PayloadConfig, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use futures_util::future::{FutureExt, LocalBoxFuture, ready, select_all};
use tokio::time::{Instant, timeout_at};

use super::held::{Held, admit};
use super::{Refusal, Tables, cached, let_in, preflight, shape_route};
use crate::auth::{Guard, Refused};
use crate::error::ApiError;
use crate::http::access::Who;
use crate::http::body::Body;
use crate::http::watch::Door;
use crate::http::{MaxBodyBytes, resource};
use crate::shape::{Answer, Dialect, Given, Invalid, Live, Query, ShapeRequest};
use crate::source::Source;

/// Requests of one list: more shapes than a page follows, and each is held as if it came alone.
const MAX_REQUESTS: usize = 64;
/// A list of the longest URLs that a proxy passes, about: 4 KiB for each request.
const MAX_BYTES: usize = 256 * 1024;
/// How long after the beginning of a call those may take that stand before one that is ready. More than it takes to find a
/// shape, or to read a piece of its log from disk: where a reader far away follows a shape that always has something for it,
/// others would never come to say that they have something too.
const HEAD_START: Duration = Duration::from_millis(5);

/// Which request of the list is answered, from 0. Absent where the call itself is wrong.
const INDEX: HeaderName = HeaderName::from_static("plue-index");

/// A request of the list on its way to its answer.
type Wait<'a> = LocalBoxFuture<'a, Outcome>;

/// What a request of the list came to.
enum Outcome {
    Answered(Held, Result<Answer, ApiError>),
    /// There was no place for it, or it may not be asked.
    Refused(Refusal),
}

/// A request of the list, as it is and as it is understood.
struct Listed {
    query: String,
    asked: Result<Box<ShapeRequest>, Invalid>,
}

/// The route. Needs what the other shape routes of the API need, and `Data<Guard>`.
pub fn route(config: &mut ServiceConfig) {
    let resource = resource("/v1/shape/first")
        .app_data(Data::new(MaxBodyBytes(MAX_BYTES)))
        .app_data(PayloadConfig::new(MAX_BYTES))
        .wrap(from_fn(shape_route));
    config.service(resource.post(first).route(web::method(Method::OPTIONS).to(preflight)));
}

/// `POST /v1/shape/first`: a reader waits for what is new in any of several shapes.
///
/// The body is a list of 1 to 64 query strings, each as that of a long-poll by `GET /v1/shape`. The answer is what that
/// would have been for one of them, a refusal too, with its place in the list as `plue-index`; no cache may keep it. Of
/// those that are ready, the one that stands first is answered, and the others are given up as if their connections had
/// been closed: their readers ask again. A client that moves what was answered to the end of its list neglects none.
async fn first(
    Who(sender): Who,
    request: HttpRequest,
    body: Body,
    source: Data<Source>,
    door: Option<Data<Door>>,
    guard: Data<Guard>,
) -> Result<HttpResponse, ApiError> {
    // The URL may name something public; what the list names is another matter.
    if Arc::ptr_eq(&sender, guard.public()) {
        return Err(Refused::NoToken.into());
    }
    let door = door.as_ref().map(|door| door.get_ref());
    let mut waits = Vec::new();
    for listed in read(body)? {
        match hold(&request, listed, &source) {
            Ok(held) => waits.push(wait(&request, &source, door, held)),
            // It is ready, so none that stands behind it has a turn.
            Err(refusal) => {
                waits.push(ready(Outcome::Refused(refusal)).boxed_local());
                break;
            }
        }
    }
    let (outcome, at) = first_of(waits).await;
    let mut response = match outcome {
        Outcome::Answered(held, answer) => held.respond(request.method(), door, answer),
        Outcome::Refused(refusal) => refusal.respond(request.method(), ()),
    };
    response.headers_mut().insert(INDEX, HeaderValue::from(at));
    Ok(response)
}

/// The requests of the list.
///
/// # Errors
/// The list is no list of long-polls. What else is wrong with one of them is its own answer.
fn read(body: Body) -> Result<Vec<Listed>, ApiError> {
    let queries = body.texts("requests")?;
    if !(1..=MAX_REQUESTS).contains(&queries.len()) {
        return Err(ApiError::invalid("body", format!("a list of 1 to {MAX_REQUESTS} query strings")));
    }
    let mut requests = Vec::with_capacity(queries.len());
    for (at, query) in queries.into_iter().enumerate() {
        let asked = ShapeRequest::parse(&query, None, Dialect::Api);
        let is_poll = asked.as_ref().map_or_else(|_| seems_a_poll(&query), |asked| asked.live == Live::Poll);
        if !is_poll {
            let expected = "the query string of a long-poll, with live=true and without live_sse; ask for others by GET \
                            /v1/shape";
            return Err(ApiError::invalid(format!("requests[{at}]"), expected));
        }
        requests.push(Listed { query, asked: asked.map(Box::new) });
    }
    Ok(requests)
}

/// Whether a query string that cannot be understood was to be a long-poll.
fn seems_a_poll(query: &str) -> bool {
    let Ok(mut query) = Query::decode(query) else { return true };
    let mut is = |name| matches!(query.take(name), Some(Given::Text(text)) if text == "true");
    is("live") && !is("live_sse") && !is("experimental_live_sse")
}

/// Gives a request its place, as it would have had by itself.
fn hold(request: &HttpRequest, listed: Listed, source: &Source) -> Result<Held, Refusal> {
    let refuse = |answer| Refusal::Answer(cached(request.method(), answer));
    let (permit, client) = admit(&listed.query, source).map_err(refuse)?;
    let mut asked = listed.asked.map_err(|invalid| refuse(Answer::invalid(&invalid)))?;
    let entrance = let_in(Tables::Permitted, request, &listed.query, &mut asked)?;
    Ok(Held { asked, entrance, client, permit, ticket: None, among_others: true })
}

/// Boxed: it costs what it would cost alone, and the call itself a pointer.
fn wait<'a>(request: &'a HttpRequest, source: &'a Source, door: Option<&'a Door>, mut held: Held) -> Wait<'a> {
    Box::pin(async move {
        let answer = held.answer(request, source, door).await;
        Outcome::Answered(held, answer)
    })
}

/// The first that is ready and its place; one that stands before it, if that is ready soon.
async fn first_of(waits: Vec<Wait<'_>>) -> (Outcome, usize) {
    let begun = Instant::now();
    // It asks them in their order, and leaves those before the one that is ready in their places.
    let (mut outcome, mut at, mut others) = select_all(waits).await;
    while at > 0 {
        others.truncate(at);
        match timeout_at(begun + HEAD_START, select_all(others)).await {
            Ok(earlier) => (outcome, at, others) = earlier,
            Err(_) => break,
        }
    }
    (outcome, at)
}

#[cfg(test)]
mod tests {
    use std::task::Poll;

    use futures_util::future::poll_fn;

    use super::*;

    /// One that is ready when it has been asked so often.
    fn ready_after(mut asked: usize) -> Wait<'static> {
        let outcome = move |context: &mut std::task::Context<'_>| {
            if asked == 0 {
                return Poll::Ready(Outcome::Refused(Refusal::Answer(Answer::not_found())));
            }
            asked -= 1;
            context.waker().wake_by_ref();
            Poll::Pending
        };
        poll_fn(outcome).boxed_local()
    }

    #[actix_web::test]
    async fn of_those_that_are_ready_the_one_that_stands_first_is_answered() {
        const NEVER: usize = usize::MAX;
        //   how often each has to be asked, the one that is answered
        let cases: [(&[usize], usize); 7] = [
            (&[0], 0),
            (&[0, 0], 0),
            (&[NEVER, 0, 0], 1),
            (&[1, 0], 0),
            (&[1, 1, 0, NEVER], 0),
            (&[NEVER, 1, NEVER, 0], 1),
            (&[NEVER, NEVER, NEVER, 5], 3),
        ];
        for (asked, answered) in cases {
            let waits = asked.iter().map(|asked| ready_after(*asked)).collect();
            assert_eq!(first_of(waits).await.1, answered, "{asked:?}");
        }
    }

    #[test]
    fn only_a_long_poll_may_stand_in_a_list() {
        let at = "table=parts&handle=1-1&offset=0_0";
        //   query string, field that is blamed, or none
        let cases = [
            (format!("{at}&live=true"), None),
            (format!("{at}&live=true&live_sse=false&cursor=1"), None),
            (format!("{at}&live=true&offset=x"), None),
            ("live=true".to_owned(), None),
            ("live=true&%".to_owned(), None),
            (at.to_owned(), Some("requests[1]")),
            (format!("{at}&live=false"), Some("requests[1]")),
            (format!("{at}&live=true&live_sse=true"), Some("requests[1]")),
            (format!("{at}&live=true&live_sse=true&offset=x"), Some("requests[1]")),
            (String::new(), Some("requests[1]")),
        ];
        for (query, blamed) in cases {
            let body = Body::from(serde_json::json!([format!("{at}&live=true"), query]));
            let field = match read(body) {
                Ok(read) => {
                    assert_eq!(read.len(), 2, "{query}");
                    None
                }
                Err(ApiError::Invalid { field, .. }) => Some(field.into_owned()),
                Err(other) => panic!("{query}: {other}"),
            };
            assert_eq!(field.as_deref(), blamed, "{query}");
        }
    }
}
