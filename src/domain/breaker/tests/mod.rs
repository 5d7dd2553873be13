//! The breaker, rule by rule and against a model.

mod model;
mod overrides;
mod random;
mod rules;
mod script;
