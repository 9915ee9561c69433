//! Whom an open `dev` answers: this machine's own programs and pages.

use super::{Folder, assert_answers};
use crate::support::Binary;

/// What a page of this origin sees.
async fn ask(url: &str, host: Option<&str>, origin: &str) -> (u16, Option<String>) {
    let request = awc::Client::default().get(url).insert_header(("origin", origin));
    let request = host.into_iter().fold(request, |request, host| request.insert_header(("host", host)));
    let answer = request.send().await.unwrap_or_else(|error| panic!("{url}: {error}"));
    let permitted = answer.headers().get("access-control-allow-origin").and_then(|origin| origin.to_str().ok());
    (answer.status().as_u16(), permitted.map(str::to_owned))
}

/// Status, and the origin that is permitted.
type Seen<'a> = (u16, Option<&'a str>);

/// Settings; what is seen by a page of ours and of theirs, at the API and at the engine's port; the status by another name.
type Case<'a> = (&'a [(&'a str, &'a str)], [Seen<'a>; 4], [u16; 2]);

#[actix_rt::test]
async fn an_open_dev_is_for_this_machine_alone_unless_its_developer_says_more() {
    let (ours, theirs) = ("http://localhost:5173", "https://evil.example");
    let secret = ("PLUE_AUTH__JWT_SECRET", "a secret of the tests that is long enough");
    let any: Seen = (200, Some("*"));
    let (mine, refused): (Seen, Seen) = ((200, Some(ours)), (403, None));
    let cases: [Case; 4] = [
        (&[], [mine, refused, mine, refused], [403, 403]),
        (&[("PLUE_SERVER__CORS_ORIGINS", "*")], [any, any, any, any], [403, 200]),
        // Who names one page opens nothing to others.
        (&[("PLUE_SERVER__CORS_ORIGINS", ours)], [mine, refused, mine, refused], [403, 403]),
        (&[secret], [(401, Some("*")), (401, Some("*")), mine, refused], [401, 403]),
    ];
    for (settings, expected, by_another_name) in cases {
        let folder = Folder::new();
        let dev = Binary::start(&folder.dev(), settings).await;
        assert_answers(&dev).await;
        let [api, engine] = dev.addresses().try_into().expect("two addresses");
        let urls =
            [format!("{api}/shape?table=sessions&offset=-1"), format!("{engine}/v1/shape?table=sessions&offset=-1")];
        let mut seen = Vec::new();
        for url in &urls {
            for origin in [ours, theirs] {
                seen.push(ask(url, None, origin).await);
            }
        }
        let seen: Vec<Seen> = seen.iter().map(|(status, origin)| (*status, origin.as_deref())).collect();
        assert_eq!(seen, expected, "{settings:?}");
        for (url, status) in urls.iter().zip(by_another_name) {
            assert_eq!(ask(url, Some("evil.example:4000"), ours).await.0, status, "{url} {settings:?}");
        }
        assert!(dev.log().contains("Viewer    http://localhost:"), "{}", dev.log());
    }
}
