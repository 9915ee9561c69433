//! What the demo plays: sessions as tables of steps.

use Step::{Assistant, Done, Failed, File, Reason, Say, Snapshot, Subtask, Use, User, Wait};

/// One session.
#[derive(Debug)]
pub struct Script {
    pub title: &'static str,
    pub directory: &'static str,
    pub steps: &'static [Step],
}

/// What happens next.
#[derive(Debug)]
pub enum Step {
    /// Nothing, for so many milliseconds.
    Wait(u64),
    /// The user says something.
    User(&'static str),
    /// The assistant begins a message; what follows up to [`Step::Done`] or [`Step::Failed`] is part of it.
    Assistant,
    /// Thoughts, a few words at a time.
    Reason(&'static str),
    /// Markdown, a few words at a time.
    Say(&'static str),
    Use(Tool),
    File {
        filename: &'static str,
        mime: &'static str,
        url: &'static str,
    },
    /// What a task that was handed out came back with.
    Subtask {
        key: &'static str,
        /// JSON.
        result: &'static str,
    },
    /// The working copy as it is now, by its change id.
    Snapshot(&'static str),
    /// The message is complete.
    Done(Usage),
    /// The message ends with an error.
    Failed(Usage, &'static str),
}

/// A tool that is called.
#[derive(Debug)]
pub struct Tool {
    pub name: &'static str,
    pub title: &'static str,
    /// JSON.
    pub input: &'static str,
    pub takes_ms: u64,
    /// Its output, or its error.
    pub result: Result<&'static str, &'static str>,
}

/// What a message took.
#[derive(Debug)]
pub struct Usage {
    pub input: i32,
    pub output: i32,
    pub reasoning: i32,
    pub cached: i32,
    /// Millionths of a dollar.
    pub cost: u32,
    pub finish: &'static str,
}

pub const AGENT: &str = "build";
pub const PROVIDER: &str = "example";
pub const MODEL: &str = "sonata-2";

/// The session that is played before everybody's eyes, in about 45 s.
pub const MAIN: Script = Script {
    title: "Fix the failing discount test",
    directory: "/home/dev/shop",
    steps: &[
        Snapshot("qpvuntsmwlqt"),
        User(
            "`npm test` has been failing since this morning: *applies a percentage discount* in `cart.test.ts`. \
             Can you find out why, and fix it?",
        ),
        Wait(600),
        Assistant,
        Reason(
            "The user names one test. I should see it fail myself before I look at the code: the message may differ from what they \
             remember, and other tests may be failing too. Then find where discounts are calculated.",
        ),
        Say("I'll run that test first, to see the failure for myself."),
        Use(Tool {
            name: "bash",
            title: "Run the tests of the cart",
            input: r#"{"command": "npx vitest run cart", "description": "Run the tests of the cart"}"#,
            takes_ms: 3900,
            result: Err(" FAIL  src/cart.test.ts > cart > applies a percentage discount\n\
                 AssertionError: expected 37.73 to be 37.74 // Object.is equality\n\n\
                 - Expected\n+ Received\n\n- 37.74\n+ 37.73\n\n\
                 ❯ src/cart.test.ts:41:31\n\n\
                 Tests  1 failed | 11 passed (12)\nexit code 1"),
        }),
        Use(Tool {
            name: "grep",
            title: "applyDiscount",
            input: r#"{"pattern": "applyDiscount", "path": "src"}"#,
            takes_ms: 500,
            result: Ok("src/cart.ts:18:export function applyDiscount(items: Item[], percent: number): number {\n\
                 src/cart.test.ts:38:    const total = applyDiscount(items, 10);\n\
                 src/checkout.ts:52:  const due = applyDiscount(order.items, order.percent);"),
        }),
        Use(Tool {
            name: "read",
            title: "src/cart.ts",
            input: r#"{"path": "src/cart.ts", "offset": 14, "limit": 12}"#,
            takes_ms: 400,
            result: Ok("14  const cents = (amount: number) => Math.round(amount * 100) / 100;\n\
                 15  \n\
                 16  // Prices are in euros.\n\
                 17  \n\
                 18  export function applyDiscount(items: Item[], percent: number): number {\n\
                 19    let total = 0;\n\
                 20    for (const { price, quantity } of items) {\n\
                 21      total += cents(price * (1 - percent / 100)) * quantity;\n\
                 22    }\n\
                 23    return cents(total);\n\
                 24  }"),
        }),
        Done(Usage { input: 8412, output: 286, reasoning: 94, cached: 6100, cost: 21_480, finish: "tool-calls" }),
        Wait(400),
        Assistant,
        Reason(
            "Line 21 rounds the discounted price of one piece, and multiplies that by the quantity. The test has seven pieces at 5.99 with \
             10 % off: 5.391 becomes 5.39, times seven is 37.73. Rounded once at the end, 37.737 becomes 37.74, which is what the test \
             expects. So the test is right, and the rounding comes too early.",
        ),
        Say(
            "Found it. `applyDiscount` rounds **each piece** and then multiplies by the quantity, so what is lost in one rounding is \
             lost as many times as there are pieces:\n\n\
             ```ts\ntotal += cents(price * (1 - percent / 100)) * quantity;\n```\n\n\
             The sum has to be rounded once, at the end. Before I change that, I'll have somebody look whether other places do the same.",
        ),
        Use(Tool {
            name: "task",
            title: "Look for other early roundings",
            input: r#"{"description": "Look for other early roundings", "prompt": "Find every place in src/ that rounds money before it multiplies or adds. Report file, line and whether a test covers it.", "agent": "explore"}"#,
            takes_ms: 5600,
            result: Ok(
                "Two places round before they multiply: src/cart.ts:21 and src/invoice.ts:77. The second is not covered by a test.",
            ),
        }),
        Subtask {
            key: "early-roundings",
            result: r#"{"title": "Look for other early roundings", "agent": "explore", "status": "completed", "duration_ms": 5587, "summary": "2 places round before they multiply", "found": [{"file": "src/cart.ts", "line": 21, "tested": true}, {"file": "src/invoice.ts", "line": 77, "tested": false}]}"#,
        },
        Use(Tool {
            name: "edit",
            title: "src/cart.ts",
            input: r#"{"path": "src/cart.ts", "old": "    total += cents(price * (1 - percent / 100)) * quantity;", "new": "    total += price * quantity;"}"#,
            takes_ms: 1100,
            result: Ok(
                "--- a/src/cart.ts\n+++ b/src/cart.ts\n@@ -18,7 +18,7 @@\n export function applyDiscount(items: Item[], percent: number): number {\n\
                 \u{20}  let total = 0;\n   for (const { price, quantity } of items) {\n\
                 -    total += cents(price * (1 - percent / 100)) * quantity;\n\
                 +    total += price * quantity;\n   }\n\
                 -  return cents(total);\n\
                 +  return cents(total * (1 - percent / 100));\n }\n",
            ),
        }),
        Snapshot("rlvkpnrzqnoo"),
        Use(Tool {
            name: "bash",
            title: "Run all tests",
            input: r#"{"command": "npm test", "description": "Run all tests"}"#,
            takes_ms: 4400,
            result: Ok(
                " ✓ src/cart.test.ts (12 tests) 18ms\n ✓ src/checkout.test.ts (9 tests) 31ms\n ✓ src/invoice.test.ts (6 tests) 12ms\n\n\
                 Test Files  3 passed (3)\n     Tests  27 passed (27)\n  Duration  1.42s",
            ),
        }),
        File { filename: "tests.svg", mime: "image/svg+xml", url: CHART },
        Done(Usage { input: 9963, output: 512, reasoning: 231, cached: 8300, cost: 34_115, finish: "tool-calls" }),
        Wait(400),
        Assistant,
        Say("The test passes again, and so do the other 26.\n\n\
             ## What was wrong\n\n\
             `applyDiscount` rounded the discounted price of each piece to cents and multiplied afterwards. With several pieces of one \
             item, the error of one rounding was multiplied too.\n\n\
             ## What I changed\n\n\
             - `src/cart.ts`: prices are added up first, then discounted, and rounded **once**\n\
             - nothing else: the test was right and stays as it is\n\n\
             ```ts\nexport function applyDiscount(items: Item[], percent: number): number {\n  let total = 0;\n  for (const { price, \
             quantity } of items) {\n    total += price * quantity;\n  }\n  return cents(total * (1 - percent / 100));\n}\n```\n\n\
             | tests | before | after |\n|---|---:|---:|\n| cart | 11 of 12 | 12 of 12 |\n| checkout | 9 of 9 | 9 of 9 |\n| invoice | 6 of 6 | 6 of 6 |\n\n\
             One thing is left: `src/invoice.ts:77` rounds in the same way, and no test covers it. Shall I write one and fix that too?"),
        Snapshot("mzvwutvlkqwt"),
        Done(Usage { input: 10_720, output: 394, reasoning: 0, cached: 9900, cost: 18_902, finish: "stop" }),
    ],
};

/// One that was over a day ago.
pub const YESTERDAY: Script = Script {
    title: "What does the retry queue do?",
    directory: "/home/dev/shop",
    steps: &[
        User("How often does the retry queue try a webhook again, and what happens then?"),
        Wait(900),
        Assistant,
        Use(Tool {
            name: "grep",
            title: "retry",
            input: r#"{"pattern": "retry", "path": "src/webhooks"}"#,
            takes_ms: 450,
            result: Ok(
                "src/webhooks/queue.ts:9:const RETRIES = [1, 5, 30, 120, 720];\nsrc/webhooks/queue.ts:48:  await deadLetters.add(job);",
            ),
        }),
        Say(
            "Five times: after 1, 5, 30, 120 and 720 minutes (`src/webhooks/queue.ts:9`). A webhook that has failed for the sixth time goes to \
             the dead letters, where it stays until somebody sends it again by hand.",
        ),
        Done(Usage { input: 5210, output: 128, reasoning: 0, cached: 4000, cost: 9_120, finish: "stop" }),
    ],
};

/// One that has just failed.
pub const FAILED: Script = Script {
    title: "Upgrade the payment library",
    directory: "/home/dev/shop",
    steps: &[
        User("Please upgrade the payment library to its newest major version."),
        Wait(700),
        Assistant,
        Say("I'll look at what is installed and what the newest version is."),
        Use(Tool {
            name: "bash",
            title: "Look at the installed version",
            input: r#"{"command": "npm outdated", "description": "Look at the installed version"}"#,
            takes_ms: 1900,
            result: Err(
                "npm error code ENOTFOUND\nnpm error network This is a problem related to network connectivity.\nexit code 1",
            ),
        }),
        Failed(
            Usage { input: 4870, output: 61, reasoning: 0, cached: 4000, cost: 7_340, finish: "error" },
            "The model could not be reached: the connection was closed before the answer was complete.",
        ),
    ],
};

/// Tests that pass, by file, as a picture.
const CHART: &str = "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 360 120' font-family='sans-serif' \
                     font-size='12'%3E%3Crect width='360' height='120' rx='8' fill='%23f4f5f7'/%3E%3Cg fill='%23475467'%3E%3Ctext x='16' \
                     y='36'%3Ecart%3C/text%3E%3Ctext x='16' y='66'%3Echeckout%3C/text%3E%3Ctext x='16' y='96'%3Einvoice%3C/text%3E%3Ctext \
                     x='316' y='36'%3E12%3C/text%3E%3Ctext x='316' y='66'%3E9%3C/text%3E%3Ctext x='316' y='96'%3E6%3C/text%3E%3C/g%3E%3Cg \
                     fill='%2312b76a'%3E%3Crect x='88' y='25' width='216' height='14' rx='4'/%3E%3Crect x='88' y='55' width='162' height='14' \
                     rx='4'/%3E%3Crect x='88' y='85' width='108' height='14' rx='4'/%3E%3C/g%3E%3C/svg%3E";
