//! A request to the upstream, as it is sent for a reader.

use super::answer::Kind;
use crate::shape::{Live, ShapeRequest};

/// A subset whose query string is longer is asked for by POST: servers and what stands before them limit URLs at 8 KB and more.
const MAX_GET_BYTES: usize = 6000;

/// One request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    pub kind: Kind,
    pub query: String,
    /// Sent by POST, as JSON.
    pub body: Option<String>,
    pub if_none_match: Option<String>,
    pub accept_encoding: Option<String>,
}

/// A live request that may be shared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveAsk {
    /// Equal for readers who wait for the same: the definition, the handle and the offset, printed.
    pub key: String,
    pub ask: Ask,
    /// Whether it is kept for a moment when nobody waits for it any more.
    pub lingers: bool,
}

impl Ask {
    /// What to ask for a reader who does not wait.
    pub fn of(request: &ShapeRequest) -> Self {
        let query = request.to_query();
        let post = if query.len() > MAX_GET_BYTES { request.to_post() } else { None };
        let (query, body) = post.map_or((query, None), |(query, body)| (query, Some(body)));
        Self {
            kind: if request.subset.is_some() { Kind::Subset } else { Kind::Log },
            query,
            body,
            if_none_match: condition(&request.if_none_match),
            accept_encoding: request.accept_encoding.clone(),
        }
    }
}

impl LiveAsk {
    /// What to ask for a reader who waits, whether it is told by polls or by events: upstream it is always a poll.
    pub fn of(request: &ShapeRequest) -> Self {
        let mut shared = ShapeRequest {
            live: Live::Poll,
            cursor: None,
            cache_buster: None,
            expired_handle: None,
            ..request.clone()
        };
        let key = shared.to_query();
        // Only whoever is first gets its own through: they mean nothing to the answer, and caches are to see one URL.
        shared.cursor = request.cursor;
        shared.cache_buster.clone_from(&request.cache_buster);
        shared.expired_handle.clone_from(&request.expired_handle);
        let ask =
            Ask { kind: Kind::Live, query: shared.to_query(), body: None, if_none_match: None, accept_encoding: None };
        Self { key, ask, lingers: request.session.is_some() }
    }
}

/// `If-None-Match` again, from the tags that were read from it.
fn condition(tags: &[String]) -> Option<String> {
    let quoted: Vec<String> = tags.iter().map(|tag| format!("\"{tag}\"")).collect();
    (!quoted.is_empty()).then(|| quoted.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shape::Dialect;

    fn request(query: &str) -> ShapeRequest {
        ShapeRequest::parse(query, Some("\"a\", \"b\""), Dialect::Protocol).expect("a request")
    }

    #[test]
    fn readers_who_wait_for_the_same_ask_together() {
        let first = "table=t&where=a=$1&params[1]=x&offset=5_1&handle=h&live=true&cursor=7";
        let same = [
            "table=t&where=a=$1&params[1]=x&offset=05_1&handle=h&live=true&cursor=8&client=x",
            "table=t&where=a=$1&params[1]=x&offset=5_1&handle=h&live=true&live_sse=true",
            "table=t&where=a=$1&params[1]=x&offset=5_1&handle=h&live&cache-buster=1&expired_handle=o&log=full",
        ];
        let others = [
            "table=t&where=a=$1&params[1]=y&offset=5_1&handle=h&live=true",
            "table=t&where=a=$1&params[1]=x&offset=5_2&handle=h&live=true",
            "table=t&where=a=$1&params[1]=x&offset=5_1&handle=i&live=true",
            "table=t&where=a=$1&params[1]=x&offset=5_1&handle=h&live=true&replica=full",
            "table=t&where=a=$1&params[1]=x&offset=5_1&handle=h&live=true&log=changes_only",
            "table=t&where=a=$1&params[1]=x&offset=5_1&handle=h&live=true&columns=id",
            "table=u&where=a=$1&params[1]=x&offset=5_1&handle=h&live=true",
        ];
        let key = LiveAsk::of(&request(first)).key;
        for query in same {
            let live = LiveAsk::of(&request(query));
            assert_eq!(live.key, key, "{query}");
            assert!(!live.ask.query.contains("sse") && live.ask.if_none_match.is_none(), "{live:?}");
        }
        for query in others {
            assert_ne!(LiveAsk::of(&request(query)).key, key, "{query}");
        }
        assert!(LiveAsk::of(&request(first)).ask.query.ends_with("&live=true&cursor=7&where=a%3D%241&params%5B1%5D=x"));
    }

    #[test]
    fn a_subset_whose_url_would_be_too_long_is_posted() {
        let short = Ask::of(&request("table=t&offset=-1&subset__where=a=1"));
        assert_eq!(
            (short.kind, short.body, short.if_none_match.as_deref()),
            (Kind::Subset, None, Some("\"a\", \"b\""))
        );
        let long = format!("a = '{}'", "x".repeat(MAX_GET_BYTES));
        let posted = Ask::of(&request(&format!("table=t&offset=-1&subset__where={long}")));
        assert_eq!(posted.query, "table=t&offset=-1");
        assert!(posted.body.is_some_and(|body| body.contains(&long)));
        let log = Ask::of(&request(&format!("table=t&offset=-1&where={long}")));
        assert!(log.body.is_none() && log.query.len() > MAX_GET_BYTES && log.kind == Kind::Log);
    }
}
