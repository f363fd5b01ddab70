//! The #[schedrig::test] attribute.
