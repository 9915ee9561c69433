//! Which keys of a JWKS count, for what, and what is said where none does.

use super::super::keys::{self, KeySet};
use super::*;

#[actix_rt::test]
async fn a_key_serves_only_what_it_says_and_what_is_safe() {
    let with = |name: &str, value: Value| {
        let mut jwk = jwk(Algorithm::ES256, P256, "p256");
        jwk[name] = value;
        jwk
    };
    let rsa_with = |name: &str, value: Value| {
        let mut jwk = jwk(Algorithm::RS256, RSA, "rsa");
        jwk[name] = value;
        jwk
    };
    let of_use = [
        with("alg", json!("ES256")),
        with("use", json!("sig")),
        with("key_ops", json!(["sign", "verify"])),
        with("x5c", json!(["no certificate"])),
        rsa_with("alg", json!("RS256")),
    ];
    let of_no_use = [
        with("alg", json!("ES384")),
        with("alg", json!("none")),
        with("alg", json!("HS256")),
        with("use", json!("enc")),
        with("use", json!(1)),
        with("key_ops", json!(["encrypt"])),
        with("key_ops", json!([])),
        with("d", json!("AAAA")),
        with("crv", json!("P-384")),
        with("crv", json!("secp256k1")),
        with("kty", json!("OKP")),
        with("kty", json!("oct")),
        with("x", json!("AAAA")),
        with("x", json!("")),
        with("y", json!(URL_SAFE_NO_PAD.encode([7; 32]))),
        rsa_with("alg", json!("RS512")),
        rsa_with("alg", json!("PS256")),
        rsa_with("e", json!("AQ")),
        rsa_with("e", json!("AA")),
        rsa_with("e", json!("")),
        rsa_with("n", json!("AQAB")),
        rsa_with("n", json!(URL_SAFE_NO_PAD.encode([255; 1024]))),
        rsa_with("n", json!("not base64!")),
        jwk(Algorithm::RS256, RSA_1024, "small"),
        json!({"kty": "OKP", "crv": "Ed25519", "x": "AAAA"}),
        json!({"kty": "OKP", "crv": "Ed25519", "x": ""}),
        json!({"kty": "OKP", "crv": "Ed25519"}),
        json!({"kty": "OKP", "crv": "X25519", "x": URL_SAFE_NO_PAD.encode([7; 32])}),
        json!({"kty": "oct", "k": SECRET, "alg": "HS256"}),
        json!({}),
        json!(null),
        json!([1]),
    ];
    let pinned = [Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA];
    for jwk in &of_use {
        let keys = KeySet::parse(json!({"keys": [jwk]}).to_string().as_bytes(), &pinned).expect("a JWKS");
        assert_eq!((keys.len(), keys.left_out), (1, 0), "{jwk}");
    }
    for jwk in &of_no_use {
        let jwks = json!({"keys": [jwk, of_use[0]]}).to_string();
        let keys = KeySet::parse(jwks.as_bytes(), &pinned).expect("a JWKS");
        assert_eq!((keys.len(), keys.left_out), (1, 1), "{jwk}");
        assert_eq!(keys.candidates(Algorithm::ES256, Some("p256")).len(), 1, "{jwk}");
    }
    // RSA keys that do not say which hash they are for serve all that are pinned, and those only.
    let keys = KeySet::parse(all_keys().to_string().as_bytes(), &pinned).expect("a JWKS");
    assert_eq!(keys.candidates(Algorithm::RS256, None).len(), 1);
    assert!(keys.candidates(Algorithm::RS512, None).is_empty() && keys.candidates(Algorithm::ES384, None).is_empty());
    // However many keys there are, one token costs a few of them.
    let many: Vec<_> = (0..64).map(|number| jwk(Algorithm::ES256, P256, &number.to_string())).collect();
    let keys = KeySet::parse(json!({"keys": many}).to_string().as_bytes(), &pinned).expect("a JWKS");
    assert_eq!((keys.len(), keys.candidates(Algorithm::ES256, None).len()), (64, 8));
}

#[actix_rt::test]
async fn a_file_without_keys_stops_the_start_and_says_why() {
    let one = jwk(Algorithm::ES256, P256, "p256");
    let many = json!({"keys": vec![&one; 65]}).to_string();
    let large = format!("{}{}", all_keys(), " ".repeat(keys::MAX_BYTES));
    let cases = [
        ("", "it is no JWKS"),
        ("[]", "it is no JWKS"),
        ("{\"keys\": {}}", "it is no JWKS"),
        (RSA_PUBLIC, "it is no JWKS"),
        ("{\"keys\": []}", "none of its 0 keys is of use"),
        (&json!({"keys": [{"kty": "oct", "k": SECRET}]}).to_string(), "none of its 1 keys is of use"),
        (&many, "it has more than 64 keys"),
        (&large, "it is larger than 262144 bytes"),
    ];
    for (text, expected) in cases {
        let jwks = file(text);
        let error = Verifier::start(&config(&[("PLUE_AUTH__JWKS", path(&jwks))])).await.err().expect("no keys");
        assert_eq!(error.to_string(), format!("cannot use the keys of auth.jwks in {}", path(&jwks)));
        let cause = error.cause.to_string();
        assert!(cause.starts_with(expected) && !cause.contains(SECRET), "{cause}");
    }
    let error = Verifier::start(&config(&[("PLUE_AUTH__JWKS", "no/such.json")])).await.err().expect("no file");
    assert!(matches!(&error.cause, Unusable::File(cause) if cause.kind() == std::io::ErrorKind::NotFound), "{error:?}");
    assert!(Verifier::start(&config(&[])).await.expect("nothing to read").is_none());
}
