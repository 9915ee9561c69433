//! The secret: statements 15 and 21 to 28.

use actix_web::http::Method;
use serde_json::json;

use super::{ITEMS, Server};

const WITH_SECRET: &[(&str, &str)] =
    &[("ELECTRIC_INSECURE", "false"), ("ELECTRIC_SECRET", "right"), ("ELECTRIC_ENABLE_INTEGRATION_TESTING", "true")];

#[actix_rt::test]
async fn c015_c021_c022_c023_c024_c025_c026_c027_c028_the_secret() {
    let server = Server::with(ITEMS, WITH_SECRET).await;
    server.send(Method::OPTIONS, "", &[], b"").await.is(204);

    for refused in ["", "&secret=wrong", "&secret=", "&api_secret=wrong", "&secret=wrong&api_secret=right"] {
        let reply = server.get(&format!("table=items&offset=-1{refused}")).await;
        assert_eq!(reply.status, 401, "{refused:?}: {}", reply.text());
        assert_eq!(reply.json(), json!({"message": "Unauthorized - Invalid API secret"}), "{refused:?}");
    }
    for allowed in ["secret=right", "api_secret=right", "secret=right&api_secret=wrong"] {
        server.get(&format!("table=items&offset=-1&{allowed}")).await.is(200);
    }

    server.delete("table=items").await.is(401);
    server.delete("table=items&secret=right").await.is(202);
    server.send(Method::POST, "table=items&offset=-1", &[], br#"{"secret":"right"}"#).await.is(401);

    for path in ["/v1/shape/", "/v1//shape", "/v1/shape//", "/v1/%73hape", "/v1/shape"] {
        server.http.get(&format!("{path}?table=items&offset=-1")).await.is(401);
    }
    for (path, status) in [("/", 200), ("/v1/health", 200), ("/nonexistent", 404), ("/v1/shapes", 404)] {
        server.http.get(path).await.is(status);
    }

    // No table and no secret, a body that is none, and a method that needs none of them.
    server.get("offset=-1").await.is(401);
    server.send(Method::POST, "", &[], b"[").await.is(401);
    server.get("offset=-1&secret=right").await.is(400);
}
