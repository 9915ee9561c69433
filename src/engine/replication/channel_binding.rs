//! The hash of a server's certificate, which ties a SCRAM sign-in to the TLS connection under it.

use sha2::{Digest, Sha256, Sha384, Sha512};

/// `tls-server-end-point` of a certificate in DER: its hash, by the hash function of its own signature,
/// where SHA-256 stands in for MD5 and SHA-1.
///
/// `None` if the signature has no hash function of its own (Ed25519) or one that is not known here
/// (RSA-PSS): then there is no channel binding.
///
/// Source: RFC 5929, 4.1.
pub fn end_point_hash(certificate: &[u8]) -> Option<Vec<u8>> {
    Some(match signature_hash(certificate)? {
        Hash::Sha256 => Sha256::digest(certificate).to_vec(),
        Hash::Sha384 => Sha384::digest(certificate).to_vec(),
        Hash::Sha512 => Sha512::digest(certificate).to_vec(),
    })
}

#[derive(Debug, PartialEq, Eq)]
enum Hash {
    Sha256,
    Sha384,
    Sha512,
}

/// Object identifiers of signature algorithms, as DER contents.
///
/// Source: RFC 3279, 4055 and 5758.
const ALGORITHMS: [(&[u8], Hash); 9] = [
    (&[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x01, 0x04], Hash::Sha256), // md5WithRSAEncryption
    (&[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x01, 0x05], Hash::Sha256), // sha1WithRSAEncryption
    (&[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x01, 0x0B], Hash::Sha256), // sha256WithRSAEncryption
    (&[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x01, 0x0C], Hash::Sha384), // sha384WithRSAEncryption
    (&[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x01, 0x0D], Hash::Sha512), // sha512WithRSAEncryption
    (&[0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x04, 0x01], Hash::Sha256),             // ecdsa-with-SHA1
    (&[0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x04, 0x03, 0x02], Hash::Sha256),       // ecdsa-with-SHA256
    (&[0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x04, 0x03, 0x03], Hash::Sha384),       // ecdsa-with-SHA384
    (&[0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x04, 0x03, 0x04], Hash::Sha512),       // ecdsa-with-SHA512
];

/// `Certificate ::= SEQUENCE { tbsCertificate SEQUENCE, signatureAlgorithm SEQUENCE { OBJECT IDENTIFIER, .. }, .. }`
fn signature_hash(certificate: &[u8]) -> Option<Hash> {
    const SEQUENCE: u8 = 0x30;
    const OBJECT_IDENTIFIER: u8 = 0x06;
    let (certificate, _) = element(certificate, SEQUENCE)?;
    let (_, after_tbs) = element(certificate, SEQUENCE)?;
    let (algorithm, _) = element(after_tbs, SEQUENCE)?;
    let (identifier, _) = element(algorithm, OBJECT_IDENTIFIER)?;
    ALGORITHMS.into_iter().find(|(known, _)| *known == identifier).map(|(_, hash)| hash)
}

/// Contents of the first DER element, if it has the tag; and what follows it.
fn element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&[found, first], rest) = der.split_first_chunk()?;
    if found != tag {
        return None;
    }
    let (length, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7F))?;
        if digits.len() > 4 {
            return None;
        }
        (digits.iter().fold(0, |length, &digit| length << 8 | usize::from(digit)), rest)
    };
    rest.split_at_checked(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sequence(contents: &[&[u8]]) -> Vec<u8> {
        let contents = contents.concat();
        [&[0x30, 0x82][..], &(contents.len() as u16).to_be_bytes(), &contents].concat()
    }

    /// As much of a certificate as is looked at.
    fn certificate(algorithm: &[u8]) -> Vec<u8> {
        let identifier = [&[0x06, algorithm.len() as u8][..], algorithm].concat();
        sequence(&[&sequence(&[&[0x02, 0x01, 0x00]]), &sequence(&[&identifier, &[0x05, 0x00]]), &[0x03, 0x01, 0x00]])
    }

    #[test]
    fn the_hash_is_that_of_the_signature() {
        //  algorithm, bytes of the hash
        let cases: [(&[u8], Option<usize>); 5] = [
            (&[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x01, 0x05], Some(32)),
            (&[0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x04, 0x03, 0x03], Some(48)),
            (&[0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x04, 0x03, 0x04], Some(64)),
            (&[0x2B, 0x65, 0x70], None),                                     // Ed25519
            (&[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x01, 0x0A], None), // RSA-PSS
        ];
        for (algorithm, length) in cases {
            let der = certificate(algorithm);
            assert_eq!(end_point_hash(&der).map(|hash| hash.len()), length, "{algorithm:x?}");
            for cut in 0..der.len() {
                assert_eq!(end_point_hash(&der[..cut]), None, "cut at {cut}");
            }
        }
    }
}
