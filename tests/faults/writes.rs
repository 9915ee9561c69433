//! The API is killed while agents write: what was acknowledged is there, and what was not can be repeated.

use super::posts::{self, Posts};
use super::program::Program;
use super::reader::{Follower, Live};
use super::{pass_time, seeded};
use crate::support::Database;

#[actix_web::test]
async fn a_kill_loses_no_acknowledged_write_and_the_others_can_be_repeated() {
    let mut random = seeded();
    let database = Database::fresh().await;
    let mut serve = Program::serve(database.url()).await;
    posts::make_session(&serve.address()).await;
    let mut follower = Follower::start(&serve.address(), "messages", "session_id = 's'", Live::Poll).await;
    let posts = Posts::start(&serve.address(), 8);
    for _ in 0..3 {
        posts.until_all_go_on().await;
        pass_time(&mut random, 1, 200).await;
        serve.kill();
        serve.start().await;
    }
    posts.until_all_go_on().await;
    assert!(posts.repeated() > 8, "only {} posts were cut off", posts.repeated());
    let acknowledged = posts.stop().await;
    posts::assert_written(&database.connect().await, &acknowledged).await;
    follower.until(async |state| posts::compare(state, &acknowledged)).await;
    serve.assert_quiet(&[]);
}
