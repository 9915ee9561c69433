//! Each rule, on a clock that stands still until it is told.

use governor::clock::FakeRelativeClock;

use super::*;

const NO_LIMIT: Rate = Rate { per_second: 0, burst: 0 };
const SLOW: Rate = Rate { per_second: 2, burst: 3 };
const HALF: Duration = Duration::from_millis(500);

fn limits(principals: Rate, addresses: Rate, failures: u32) -> (FakeRelativeClock, Limits<FakeRelativeClock>) {
    bounded(principals, addresses, failures, MOST_KEYS)
}

fn bounded(
    principals: Rate,
    addresses: Rate,
    failures: u32,
    most_keys: usize,
) -> (FakeRelativeClock, Limits<FakeRelativeClock>) {
    let clock = FakeRelativeClock::default();
    let limits = Limits::with(principals, addresses, failures, &clock, most_keys);
    (clock, limits)
}

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

#[test]
fn it_is_shared_by_all_workers() {
    fn shared<T: Send + Sync + 'static>() {}
    shared::<Limits>();
    // With the clock that is used.
    let limits = Limits::new(Rate { per_second: 1, burst: 1 }, NO_LIMIT, 0);
    assert_eq!(limits.principal("ann"), Ok(()));
    let Wait(wait) = limits.principal("ann").expect_err("the second at once");
    assert!(wait <= Duration::from_secs(1), "{wait:?}");
}

#[test]
fn a_burst_is_allowed_and_then_the_rate() {
    let (clock, limits) = limits(SLOW, NO_LIMIT, 0);
    let ask = || limits.principal("ann");
    assert_eq!([ask(), ask(), ask()], [Ok(()); 3]);
    assert_eq!(ask(), Err(Wait(HALF)));
    clock.advance(HALF / 5);
    assert_eq!(ask(), Err(Wait(HALF / 5 * 4)), "what was refused was not counted");
    clock.advance(HALF / 5 * 4);
    assert_eq!(ask(), Ok(()));
    assert_eq!(ask(), Err(Wait(HALF)));
    clock.advance(HALF * 100);
    assert_eq!([ask(), ask(), ask()], [Ok(()); 3], "a long pause brings the burst back,");
    assert_eq!(ask(), Err(Wait(HALF)), "and no more");
}

#[test]
fn principals_and_addresses_are_counted_apart() {
    let (_clock, limits) = limits(Rate { per_second: 1, burst: 1 }, Rate { per_second: 1, burst: 1 }, 0);
    let refused = Err(Wait(Duration::from_secs(1)));
    for (name, address) in [("ann", "192.0.2.1"), ("bob", "192.0.2.2"), ("", "2001:db8::1")] {
        assert_eq!((limits.principal(name), limits.address(ip(address))), (Ok(()), Ok(())), "{name} at {address}");
        assert_eq!((limits.principal(name), limits.address(ip(address))), (refused, refused), "{name} at {address}");
    }
    assert_eq!(limits.principal(&"x".repeat(1 << 20)), Ok(()));
}

#[test]
fn an_address_is_one_of_ipv4_or_a_64th_of_ipv6() {
    //   first, second, the same to us
    let cases = [
        ("192.0.2.1", "192.0.2.2", false),
        ("192.0.2.1", "::ffff:192.0.2.1", true),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", false),
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff", true),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", false),
        ("0.0.0.1", "0:0:0:1::", false),
    ];
    for (first, second, same) in cases {
        let (_clock, limits) = limits(NO_LIMIT, Rate { per_second: 1, burst: 1 }, 0);
        assert_eq!(limits.address(ip(first)), Ok(()), "{first}");
        assert_eq!(limits.address(ip(second)).is_err(), same, "{second} after {first}");
    }
}

#[test]
fn zero_is_no_limit() {
    let (_clock, limits) = limits(NO_LIMIT, Rate { per_second: 0, burst: 5 }, 0);
    for _ in 0..1000 {
        limits.failed(ip("192.0.2.1"));
        assert_eq!(limits.principal("ann"), Ok(()));
        assert_eq!(limits.address(ip("192.0.2.1")), Ok(()));
        assert_eq!(limits.may_try(ip("192.0.2.1")), Ok(()));
    }
}

#[test]
fn any_numbers_make_a_limit() {
    for per_second in [1, u32::MAX] {
        for burst in [0, 1, u32::MAX] {
            let (clock, limits) = limits(Rate { per_second, burst }, NO_LIMIT, u32::MAX);
            assert_eq!(limits.principal("ann"), Ok(()), "{per_second} and {burst}");
            assert_eq!(limits.principal("ann").is_ok(), burst > 1, "{per_second} and {burst}");
            clock.advance(Duration::from_secs(1));
            assert_eq!(limits.principal("ann"), Ok(()), "{per_second} and {burst}");
            limits.failed(ip("192.0.2.1"));
        }
    }
}

#[test]
fn failures_are_used_up_by_failing_alone() {
    let (clock, limits) = limits(NO_LIMIT, NO_LIMIT, 3);
    let (one, other) = (ip("2001:db8:1:2::1"), ip("2001:db8:1:3::1"));
    for _ in 0..3 {
        // As many as do not fail.
        for _ in 0..10 {
            assert_eq!(limits.may_try(one), Ok(()));
        }
        limits.failed(one);
    }
    assert_eq!(limits.may_try(one), Err(Wait(Duration::from_secs(20))));
    assert_eq!(limits.may_try(ip("2001:db8:1:2::9")), Err(Wait(Duration::from_secs(20))), "its neighbour in the /64");
    assert_eq!(limits.may_try(other), Ok(()));
    // Those that were looked at in the meantime do not make it longer.
    limits.failed(one);
    clock.advance(Duration::from_secs(19));
    assert_eq!(limits.may_try(one), Err(Wait(Duration::from_secs(1))));
    clock.advance(Duration::from_secs(1));
    assert_eq!(limits.may_try(one), Ok(()));
    limits.failed(one);
    assert_eq!(limits.may_try(one), Err(Wait(Duration::from_secs(20))));
}

#[test]
fn the_wait_is_told_in_whole_seconds() {
    let cases = [(0, 1), (1, 1), (999, 1), (1000, 1), (1001, 2), (20_000, 20), (59_999, 60)];
    for (millis, seconds) in cases {
        assert_eq!(Wait(Duration::from_millis(millis)).retry_after(), seconds, "{millis} ms");
    }
    assert_eq!(Wait(Duration::MAX).retry_after(), u64::MAX);
}

fn v4(number: u32) -> IpAddr {
    IpAddr::from(number.to_be_bytes())
}

#[test]
fn buckets_that_are_full_again_are_dropped() {
    let (clock, limits) = limits(NO_LIMIT, SLOW, 0);
    let buckets = &limits.addresses.as_ref().expect("a limit").buckets;
    for number in 0..50_000 {
        assert_eq!(limits.address(v4(number)), Ok(()));
    }
    assert_eq!(buckets.len(), 50_000, "all of them are still in use");
    // One that stays in use.
    let busy = v4(7);
    for _ in 0..2 {
        assert_eq!(limits.address(busy), Ok(()));
    }
    clock.advance(HALF * 2);
    assert!(limits.address(busy).is_ok());
    for number in 50_000..60_000 {
        assert_eq!(limits.address(v4(number)), Ok(()));
    }
    assert!(buckets.len() < 15_000, "{} keys are kept", buckets.len());
    assert!(buckets.capacity() < 30_000, "room for {} is kept", buckets.capacity());
    assert!(limits.address(busy).is_ok(), "it had one left,");
    assert_eq!(limits.address(busy), Err(Wait(HALF)), "and was not forgotten");
}

#[test]
fn above_the_most_keys_new_ones_are_counted_together() {
    let most = 6400;
    let (clock, limits) = bounded(NO_LIMIT, Rate { per_second: 1, burst: 2 }, 1, most);
    let buckets = &limits.addresses.as_ref().expect("a limit").buckets;
    let mut refused = 0;
    for number in 0..100_000 {
        refused += u32::from(limits.address(v4(number)).is_err());
        limits.failed(v4(number));
    }
    assert_eq!(buckets.len(), most);
    // 64 buckets for all that found no place, of 2 requests each.
    assert_eq!(refused, 100_000 - 6400 - 64 * 2);
    assert!(limits.may_try(v4(500_000)).is_err(), "failures of new addresses are counted together too");
    // Who was there before is counted as before.
    assert_eq!(limits.address(v4(0)), Ok(()));
    assert_eq!(limits.address(v4(0)), Err(Wait(Duration::from_secs(1))));
    // When all buckets are full again, newcomers get their own.
    clock.advance(Duration::from_secs(2));
    for number in 600_000..600_100 {
        assert_eq!([limits.address(v4(number)), limits.address(v4(number))], [Ok(()); 2]);
        assert!(limits.address(v4(number)).is_err());
    }
    assert!(buckets.len() < most, "{} keys are kept", buckets.len());
}

#[test]
fn threads_that_ask_at_once_get_no_more_than_there_is() {
    let (_clock, limits) = limits(Rate { per_second: 1, burst: 1000 }, NO_LIMIT, 0);
    let allowed: usize = std::thread::scope(|scope| {
        let ask = || (0..1000).filter(|_| limits.principal("ann").is_ok()).count();
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(ask)).collect();
        threads.into_iter().map(|thread| thread.join().expect("a thread that does not panic")).sum()
    });
    assert_eq!(allowed, 1000);
}
