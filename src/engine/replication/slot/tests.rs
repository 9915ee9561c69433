use super::Names;

#[test]
fn names_keep_databases_and_streams_apart() {
    let names = Names::new("default", 16384).expect("a valid stream id");
    assert_eq!(names.slot, "plue_sync_default_16384");
    assert_eq!(names.publication, "plue_sync_default");
    let longest = Names::new(&"x".repeat(30), u32::MAX).expect("a valid stream id");
    assert!(longest.slot.len() < 64, "Postgres cuts names at 63 bytes");
    for wrong in ["", "Default", "a-b", "a b", "a'b", "ä", &"x".repeat(31)] {
        assert!(Names::new(wrong, 1).is_err(), "{wrong:?}");
    }
}
