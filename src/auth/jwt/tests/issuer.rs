//! An issuer's web server, with a document that can be changed, held back and counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use actix_web::dev::ServerHandle;
use actix_web::http::StatusCode;
use actix_web::{App, HttpResponse, HttpServer, web};
use parking_lot::Mutex;
use tokio::sync::watch;

/// A real server on a free port. It is stopped when dropped.
pub struct Issuer {
    pub url: String,
    published: Arc<Published>,
    server: ServerHandle,
}

struct Published {
    answer: Mutex<(u16, String)>,
    asked: AtomicUsize,
    /// Whether it answers; until then, requests wait.
    open: watch::Sender<bool>,
}

impl Issuer {
    pub async fn start(status: u16, body: &str) -> Self {
        let published = Arc::new(Published {
            answer: Mutex::new((status, body.to_owned())),
            asked: AtomicUsize::new(0),
            open: watch::channel(true).0,
        });
        let data = web::Data::from(Arc::clone(&published));
        let app = move || {
            let app = App::new().app_data(data.clone());
            app.route("/jwks.json", web::get().to(answer)).route("/elsewhere.json", web::get().to(elsewhere))
        };
        let server = HttpServer::new(app);
        let server = server.workers(1).disable_signals().bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}/jwks.json", server.addrs()[0]);
        let server = server.run();
        let handle = server.handle();
        actix_rt::spawn(server);
        Self { url, published, server: handle }
    }

    pub fn publish(&self, status: u16, body: &str) {
        *self.published.answer.lock() = (status, body.to_owned());
    }

    /// How often it was asked.
    pub fn asked(&self) -> usize {
        self.published.asked.load(Ordering::SeqCst)
    }

    /// Whether requests are answered, or wait.
    pub fn open(&self, open: bool) {
        self.published.open.send_replace(open);
    }
}

impl Drop for Issuer {
    fn drop(&mut self) {
        // The command is sent at once; nobody waits for the end.
        drop(self.server.stop(false));
    }
}

async fn answer(published: web::Data<Published>) -> HttpResponse {
    published.asked.fetch_add(1, Ordering::SeqCst);
    let mut open = published.open.subscribe();
    open.wait_for(|open| *open).await.expect("the issuer is there");
    let (status, body) = published.answer.lock().clone();
    let mut response = HttpResponse::build(StatusCode::from_u16(status).expect("a status"));
    response.insert_header(("location", "/elsewhere.json")).body(body)
}

/// Where a redirect leads: the same keys, with nothing wrong.
async fn elsewhere(published: web::Data<Published>) -> String {
    published.answer.lock().1.clone()
}
