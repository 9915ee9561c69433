//! Named time zones: this program's database of them against the server's.

use bytes::Bytes;
use plue_sync::engine::filter::Filter;
use plue_sync::engine::tables::{Column, Labels, Table};
use plue_sync::shape::TableName;
use tokio_postgres::SimpleQueryMessage;

use super::Judge;

/// From when on every version of the database has the same times.
const FIRST_YEAR: i32 = 1970;
const LAST_YEAR: i32 = 2037;
/// Governments change their minds: a server with another version of the database may differ in a few zones.
const MAY_DIFFER: usize = 12;

fn column(name: &str, type_name: &str, type_oid: u32) -> Column {
    Column {
        name: name.into(),
        type_oid,
        type_name: type_name.into(),
        type_kind: 'b',
        type_modifier: -1,
        dims: 0,
        not_null: false,
        generated: false,
        deterministic: true,
        labels: Labels::default(),
        casing: Default::default(),
    }
}

#[tokio::test]
async fn all_zones_have_the_offsets_that_the_server_has() {
    let judge = Judge::new().await;
    let columns = vec![column("at", "timestamptz", 1184), column("local", "timestamp", 1114)];
    let name = TableName { schema: "public".into(), name: "clocks".into() };
    let table = Table { oid: 1, name, columns, key: vec![0], has_primary_key: true, partitions: None };
    let names = "SELECT name FROM pg_timezone_names WHERE name ~ '/' AND name !~ '^(posix|right|Etc)' ORDER BY name";
    let names = judge.client.query(names, &[]).await.expect("the server's zones");
    let (mut compared, mut unknown, mut different) = (0, Vec::new(), Vec::new());
    for zone in names.iter().map(|row| row.get::<_, String>(0)) {
        let Ok(filter) = Filter::compile(&format!("at AT TIME ZONE '{zone}' = local"), &[], &table) else {
            unknown.push(zone);
            continue;
        };
        let sql = format!(
            "SELECT at, at AT TIME ZONE '{zone}' FROM generate_series(timestamptz '{FIRST_YEAR}-01-01', '{LAST_YEAR}-12-31', '41 days 5 hours') at"
        );
        let mut wrong = None;
        for message in judge.client.simple_query(&sql).await.expect("local times") {
            let SimpleQueryMessage::Row(row) = message else { continue };
            let text = |index| row.get(index).map(|text: &str| Bytes::copy_from_slice(text.as_bytes()));
            compared += 1;
            if !filter.matches(&[text(0), text(1)]) {
                wrong.get_or_insert_with(|| format!("{zone}: {:?} is {:?} there", row.get(0), row.get(1)));
            }
        }
        different.extend(wrong);
    }
    println!("{compared} compared; unknown here: {unknown:?}; different: {different:#?}");
    assert!(compared > 200_000, "only {compared} compared");
    assert!(different.len() <= MAY_DIFFER, "{different:#?}");
    assert!(unknown.len() <= MAY_DIFFER, "{unknown:?}");
}

/// Times that clocks skip or show twice, hour by hour around both changes of a year.
#[tokio::test]
async fn local_times_become_the_moments_that_the_server_makes_of_them() {
    let judge = Judge::new().await;
    let columns = vec![column("local", "timestamp", 1114), column("at", "timestamptz", 1184)];
    let name = TableName { schema: "public".into(), name: "clocks".into() };
    let table = Table { oid: 1, name, columns, key: vec![0], has_primary_key: true, partitions: None };
    let zones = [
        "America/Denver",
        "Europe/Berlin",
        "Australia/Lord_Howe",
        "America/Sao_Paulo",
        "Asia/Tehran",
        "Africa/Casablanca",
    ];
    for zone in zones {
        let filter = Filter::compile(&format!("local AT TIME ZONE '{zone}' = at"), &[], &table).expect("a zone");
        let sql = format!(
            "SELECT local, local AT TIME ZONE '{zone}' FROM generate_series(timestamp '2016-01-01', '2016-12-31', '30 minutes') local"
        );
        for message in judge.client.simple_query(&sql).await.expect("moments") {
            let SimpleQueryMessage::Row(row) = message else { continue };
            let text = |index| row.get(index).map(|text: &str| Bytes::copy_from_slice(text.as_bytes()));
            assert!(filter.matches(&[text(0), text(1)]), "{zone}: {:?} is {:?} there", row.get(0), row.get(1));
        }
    }
}
