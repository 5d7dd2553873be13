//! The open connections, and which of them is closed for one too many.
//!
//! A connection whose request is being worked on never does, nor does one with a stream. There are
//! fewer places for those than connections (see [`places`](super::places)), so a new connection, a
//! probe above all, finds a place that an idle one can give up. A client that sends a head byte by
//! byte, or does not read its answer, counts as idle.

use std::cmp::Reverse;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Instant;

use crate::domain::lock::locked;

/// Connections at a time. Administration, reads that wait and watchers of the status page take fewer.
pub(super) const MAX_CONNECTIONS: usize = 192;

/// What a connection does, as reported by the code that serves it.
#[derive(Debug, Clone)]
pub(super) struct Activity(Arc<Mutex<Doing>>);

#[derive(Debug)]
struct Doing {
    requests: usize,
    /// The last time something was asked or answered.
    last: Instant,
}

impl Activity {
    pub(super) fn new() -> Self {
        let (requests, last) = (0, Instant::now());
        Self(Arc::new(Mutex::new(Doing { requests, last })))
    }

    /// A request has come; it is worked on until the answer is dropped.
    pub(super) fn begin(&self) -> Busy {
        self.touch();
        locked(&self.0).requests += 1;
        Busy(self.clone())
    }

    /// Something moves.
    pub(super) fn touch(&self) {
        locked(&self.0).last = Instant::now();
    }

    fn idle_since(&self) -> Option<Instant> {
        let doing = locked(&self.0);
        (doing.requests == 0).then_some(doing.last)
    }
}

/// A request that is worked on.
#[derive(Debug)]
pub(super) struct Busy(Activity);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.touch();
        locked(&self.0.0).requests -= 1;
    }
}

/// All connections.
#[derive(Debug, Default)]
pub(super) struct Connections {
    open: Vec<Open>,
    pub(super) tasks: JoinSet<()>,
}

#[derive(Debug)]
struct Open {
    peer: IpAddr,
    activity: Activity,
    task: AbortHandle,
}

impl Connections {
    /// Serves one more. One too many takes the place of an idle one, or is closed where there is none.
    pub(super) fn add(
        &mut self,
        peer: IpAddr,
        activity: Activity,
        serve: impl Future<Output = ()> + Send + 'static,
    ) {
        self.open.retain(|open| !open.task.is_finished());
        if self.open.len() < MAX_CONNECTIONS || self.make_room(peer) {
            let task = self.tasks.spawn(serve);
            self.open.push(Open {
                peer,
                activity,
                task,
            });
        }
    }

    /// Closes the connection that was idle longest, of the peer that has most: mostly `peer`
    /// itself, whose new connection counts.
    fn make_room(&mut self, peer: IpAddr) -> bool {
        let idle = self.open.iter().enumerate().filter_map(|(at, open)| {
            let since = Reverse(open.activity.idle_since()?);
            let own = open.peer == peer;
            let others = self.open.iter().filter(|it| it.peer == open.peer);
            Some((others.count() + usize::from(own), own, since, at))
        });
        let Some((.., at)) = idle.max() else {
            return false;
        };
        self.open.swap_remove(at).task.abort();
        true
    }
}
