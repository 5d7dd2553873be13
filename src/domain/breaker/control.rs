//! Orders from outside: operators' overrides, new settings, the state of our own link.

use std::time::Duration;

use super::machine::Breaker;
use super::settings::Settings;
use super::state::State;
use super::tick::Tick;
use super::transition::{Reason, Transition};

impl Breaker {
    /// Holds the circuit open until `until`. A breaker that is switched off stays closed.
    pub fn force_open(&mut self, now: Tick, until: Tick) -> Option<Transition> {
        let now = self.advance(now);
        if !self.settings.enabled {
            return None;
        }
        self.held_until = Some(until);
        self.hearsay = false;
        let since = self.state.opened_at().unwrap_or(now);
        self.change(now, State::Open { since, until }, Reason::Forced)
    }

    /// Holds the circuit closed until `until`, whatever the outcomes.
    pub fn force_close(&mut self, now: Tick, until: Tick) -> Option<Transition> {
        let now = self.advance(now);
        let transition = self.start_anew(now, Reason::Forced);
        self.held_until = Some(until);
        transition
    }

    /// Closes the circuit and forgets everything, overrides too.
    pub fn reset(&mut self, now: Tick) -> Option<Transition> {
        let now = self.advance(now);
        self.start_anew(now, Reason::Reset)
    }

    /// Closes the circuit and forgets what came before, unless an operator holds it.
    pub fn start_over(&mut self, now: Tick) -> Option<Transition> {
        let now = self.advance(now);
        if self.held_until.is_some() && !self.override_over(now) {
            return None;
        }
        self.start_anew(now, Reason::Reset)
    }

    /// Opens a closed circuit for what is left of the open time it had when the daemon stopped.
    pub fn restore_open(&mut self, now: Tick, remaining: Duration) -> Option<Transition> {
        let now = self.advance(now);
        let closed = matches!(self.state, State::Closed { .. });
        if !closed || !self.settings.enabled || self.held_until.is_some() {
            return None;
        }
        self.last_open_time = Some(self.settings.open_time);
        let until = now.plus(remaining.min(self.settings.max_open_time));
        self.change(now, State::Open { since: now, until }, Reason::Restored)
    }

    /// Makes every outcome neutral while our own link is down, and afterwards the outcomes of the
    /// attempts that were in flight then. Permits come back as ever.
    pub fn freeze(&mut self, frozen: bool) {
        if self.frozen && !frozen {
            self.serials.thaw();
        }
        self.frozen = frozen;
    }

    /// Changes the settings and keeps the state, except that a breaker switched off is closed.
    pub fn configure(&mut self, now: Tick, settings: Settings) -> Option<Transition> {
        let now = self.advance(now);
        self.tally.resize_window(settings.window);
        if let Some(own) = &mut self.own {
            own.resize_window(settings.window);
        }
        self.settings = settings;
        if self.settings.enabled {
            return None;
        }
        self.held_until = None;
        match self.state {
            State::Closed { .. } => None,
            _ => self.start_anew(now, Reason::Disabled),
        }
    }
}
