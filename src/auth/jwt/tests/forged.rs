//! Tokens that nobody signed who could.

use super::*;

#[actix_rt::test]
async fn a_public_key_is_never_a_secret() {
    let keys = all_keys();
    let n = keys["keys"][0]["n"].as_str().expect("a modulus");
    let bytes = URL_SAFE_NO_PAD.decode(n).expect("base64");
    let der = RSA_PUBLIC.lines().filter(|line| !line.starts_with('-')).collect::<String>();
    let der = base64::engine::general_purpose::STANDARD.decode(der).expect("base64");
    let x = keys["keys"][1]["x"].as_str().expect("a coordinate");
    let secrets: [&[u8]; 8] = [
        RSA_PUBLIC.as_bytes(),
        RSA_PUBLIC.trim_end().as_bytes(),
        n.as_bytes(),
        &bytes,
        &der,
        x.as_bytes(),
        keys["keys"][0].to_string().leak().as_bytes(),
        b"",
    ];
    let jwks = file(&keys.to_string());
    let by_keys = ("PLUE_AUTH__JWKS", path(&jwks));
    let (only_keys, _one) = verifier(&[by_keys]).await;
    let (both, _two) = verifier(&[by_keys, ("PLUE_AUTH__JWT_SECRET", SECRET)]).await;
    for secret in secrets {
        for kid in [Some("rsa"), Some("p256"), None] {
            let forged = plain(Algorithm::HS256, secret, kid);
            assert_eq!(seen(&only_keys, &forged).await, Err(Denied::Algorithm));
            assert_eq!(seen(&both, &forged).await, Err(Denied::Signature));
        }
        // The same, with the header of the algorithm that the key is for.
        let header = json!({"alg": "RS256", "kid": "rsa"});
        let forged = token(&header, &json!({"sub": "eve", "exp": NOW + 60}), Algorithm::HS256, secret);
        assert_eq!(seen(&both, &forged).await, Err(Denied::Signature));
    }
    // A header may bring a key of its own; nobody asked for it.
    let own = jwk(Algorithm::ES256, P256_SECOND, "p256");
    let header =
        json!({"alg": "ES256", "kid": "p256", "jwk": own, "jku": "http://127.0.0.1:1/", "x5u": "http://127.0.0.1:1/"});
    let forged = token(&header, &json!({"sub": "eve", "exp": NOW + 60}), Algorithm::ES256, P256_SECOND);
    assert_eq!(seen(&both, &forged).await, Err(Denied::Signature));
}

#[actix_rt::test]
async fn no_signature_is_no_token() {
    let (verifier, _task) = verifier(&[("PLUE_AUTH__JWT_SECRET", SECRET)]).await;
    let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let claims = part(json!({"sub": "eve", "exp": NOW + 60}));
    let good = plain(Algorithm::HS256, SECRET.as_bytes(), None);
    let signature = good.rsplit('.').next().expect("a signature").to_owned();
    for alg in ["none", "None", "NONE", "nOnE", " none", "none\0", "", "hs256", "HS256 ", "HS1", "PS256", "ES256K"] {
        for signature in ["", signature.as_str(), "AA"] {
            let forged = format!("{}.{claims}.{signature}", part(json!({"alg": alg})));
            assert_eq!(seen(&verifier, &forged).await, Err(Denied::Algorithm), "{alg:?}");
        }
    }
    let unsigned = |signature: &str| format!("{}.{claims}.{signature}", part(json!({"alg": "HS256"})));
    for signature in ["", "AA", "====", &"A".repeat(43), &signature[..42], &format!("{signature}=")] {
        assert_eq!(seen(&verifier, &unsigned(signature)).await, Err(Denied::Signature), "{signature:?}");
    }
    let malformed = [
        String::new(),
        ".".to_owned(),
        "..".to_owned(),
        "a.b".to_owned(),
        "\u{1F600}.\u{1F600}.\u{1F600}".to_owned(),
        format!("{good}.{signature}"),
        format!("{good}..."),
        format!(" {good}"),
        format!("{}.{claims}.{signature}", part(json!({}))),
        format!("{}.{claims}.{signature}", part(json!({"alg": null}))),
        format!("{}.{claims}.{signature}", part(json!({"alg": ["HS256"]}))),
        format!("{}.{claims}.{signature}", part(json!("HS256"))),
        format!("{}.{claims}.{signature}", URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256","alg":"none"}"#)),
        token(
            &json!({"alg": "HS256", "crit": ["b64"], "b64": false}),
            &json!({"exp": NOW + 60}),
            Algorithm::HS256,
            SECRET.as_bytes(),
        ),
        claiming(&json!([1, 2])),
        claiming(&json!("alice")),
        claiming(&json!({"sub": "a".repeat(MAX_TOKEN_BYTES), "exp": NOW + 60})),
    ];
    for token in malformed {
        assert_eq!(seen(&verifier, &token).await, Err(Denied::Malformed), "{token:?}");
    }
    // Any letter changed anywhere makes another token.
    for at in 0..good.len() {
        let mut bytes = good.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(bytes).expect("text");
        assert!(seen(&verifier, &changed).await.is_err(), "{at}: {changed}");
    }
}
