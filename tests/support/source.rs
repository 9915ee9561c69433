//! The two that may answer for shapes, and tests that run with each.

/// Who answers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Source {
    Engine,
    Proxy,
}

/// Makes of each function two tests, one for each source.
macro_rules! with_both_sources {
    ($($name:ident),+ $(,)?) => {
        $(mod $name {
            #[actix_rt::test]
            async fn in_process() {
                super::$name(crate::support::Source::Engine).await;
            }

            #[actix_rt::test]
            async fn by_proxy() {
                super::$name(crate::support::Source::Proxy).await;
            }
        })+
    };
}
pub(crate) use with_both_sources;
