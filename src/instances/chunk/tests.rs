use proptest::prelude::*;

use super::*;

fn split(kind: Kind, text: &str) -> Vec<String> {
    Chunk::split(kind, Uuid::nil(), &InstanceId::generate(), text).expect("not too long")
}

#[test]
fn payloads_fit_and_the_longest_message_can_be_read() {
    for kind in [Kind::Question, Kind::Reply] {
        // Letters of three bytes waste the most.
        for letter in ["x", "€"] {
            let text = letter.repeat(kind.max_bytes() / letter.len());
            let payloads = split(kind, &text);
            let (mut half, mut whole) = (Assembly::default(), None);
            for payload in &payloads {
                assert!(payload.len() < 8000, "{} bytes", payload.len());
                whole = half.add(&Chunk::parse(payload).expect("ours"));
            }
            assert!(whole.as_deref() == Some(&*text), "{kind:?} of {letter}");
        }
        let too_long = "x".repeat(kind.max_bytes() + 1);
        assert_eq!(Chunk::split(kind, Uuid::nil(), &InstanceId::generate(), &too_long), None);
    }
    let payloads = split(Kind::Reply, "");
    assert_eq!(Assembly::default().add(&Chunk::parse(&payloads[0]).expect("ours")).as_deref(), Some(""));
}

#[test]
fn what_is_not_ours_is_not_read() {
    let good = split(Kind::Reply, "text with spaces").remove(0);
    assert_eq!(Chunk::parse(&good).map(|chunk| chunk.text), Some("text with spaces"));
    let fields: Vec<&str> = good.splitn(7, ' ').collect();
    let with = |at: usize, text: &str| {
        let mut fields = fields.clone();
        fields[at] = text;
        fields.join(" ")
    };
    let too_many = (Kind::Question.max_chunks() + 1).to_string();
    let wrong = [
        with(0, "2"),
        with(1, "x"),
        with(2, "00"),
        with(3, "ins_1"),
        with(4, "1"),
        with(4, "-1"),
        with(5, "0"),
        with(5, "99999999999999999999999"),
        with(1, "q").replacen(" 0 1 ", &format!(" 0 {too_many} "), 1),
        fields[..6].join(" "),
        String::new(),
        "hello".to_owned(),
        "{\"table\":\"items\"}".to_owned(),
    ];
    for payload in wrong {
        assert_eq!(Chunk::parse(&payload), None, "{payload:?}");
    }
}

#[test]
fn chunks_that_contradict_each_other_make_no_message() {
    let (long, short) = ("x".repeat(20_000), "y".repeat(10_000));
    let (long, short) = (split(Kind::Reply, &long), split(Kind::Reply, &short));
    let mut half = Assembly::default();
    for payload in [&long[0], &short[0], &short[1], &long[1]] {
        assert_eq!(half.add(&Chunk::parse(payload).expect("ours")), None);
    }
    assert!(half.add(&Chunk::parse(&long[2]).expect("ours")).is_some_and(|text| !text.contains('y')));
}

proptest! {
    #[test]
    fn a_message_is_put_together_in_any_order_and_never_from_less_than_all(
        letters in prop::collection::vec(prop::sample::select(vec!["x", "é", "€", "😀", " "]), 0..8_000),
        order in prop::collection::vec(any::<prop::sample::Index>(), 0..60),
        lost in any::<Option<prop::sample::Index>>(),
    ) {
        let text = letters.concat();
        let payloads = split(Kind::Reply, &text);
        let lost = lost.map(|lost| lost.index(payloads.len()));
        // Some twice, in any order; then all of them.
        let come = order.iter().map(|index| index.index(payloads.len())).chain(0..payloads.len());
        let mut half = Assembly::default();
        let mut made = Vec::new();
        for at in come.filter(|at| Some(*at) != lost) {
            made.extend(half.add(&Chunk::parse(&payloads[at]).expect("ours")));
        }
        let expected = if lost.is_some() { vec![] } else { vec![text] };
        prop_assert_eq!(made, expected);
    }

    #[test]
    fn any_payload_is_read_or_refused(payload in "\\PC{0,200}", prefix in prop::sample::select(vec!["", "1 q ", "1 r 0190a0b0c0d07000800000000000000f "])) {
        let payload = format!("{prefix}{payload}");
        if let Some(chunk) = Chunk::parse(&payload) {
            prop_assert!(chunk.index < chunk.count);
        }
    }
}
