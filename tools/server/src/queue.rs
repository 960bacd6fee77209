//! A queue in which clients take turns: one that asks a lot waits behind itself, not before others.

use std::{
    collections::VecDeque,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
};

/// A queue of `T`s of clients that are told apart by a `K`. Its length is limited by whoever fills it.
pub(crate) struct FairQueue<K, T> {
    state: Mutex<State<K, T>>,
    changed: Condvar,
}

struct State<K, T> {
    /// Of each client that waits; the next turn is the first one's.
    lanes: VecDeque<(K, VecDeque<T>)>,
    closed: bool,
}

/// What there is to do next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next<T> {
    Item(T),
    Nothing,
    /// There will be nothing more.
    Closed,
}

impl<K: PartialEq, T> FairQueue<K, T> {
    pub(crate) fn new() -> Self {
        Self {
            state: Mutex::new(State {
                lanes: VecDeque::new(),
                closed: false,
            }),
            changed: Condvar::new(),
        }
    }

    /// Adds `item` of `client`; gives it back if the queue is closed.
    pub(crate) fn push(&self, client: K, item: T) -> Result<(), T> {
        let mut state = self.lock();
        if state.closed {
            return Err(item);
        }
        match state.lanes.iter_mut().find(|(owner, _)| *owner == client) {
            Some((_, lane)) => lane.push_back(item),
            None => state.lanes.push_back((client, VecDeque::from([item]))),
        }
        self.changed.notify_one();
        Ok(())
    }

    /// The next item, if there is one now; with `wait`, once there is one.
    pub(crate) fn next(&self, wait: bool) -> Next<T> {
        let mut state = self.lock();
        loop {
            if state.closed {
                return Next::Closed;
            }
            if let Some(item) = state.pop() {
                return Next::Item(item);
            }
            if !wait {
                return Next::Nothing;
            }
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Drops what waits and is not worth it.
    pub(crate) fn retain(&self, mut worth: impl FnMut(&T) -> bool) {
        let mut state = self.lock();
        for (_, lane) in &mut state.lanes {
            lane.retain(&mut worth);
        }
        state.lanes.retain(|(_, lane)| !lane.is_empty());
    }

    /// How many items wait.
    pub(crate) fn len(&self) -> usize {
        self.lock().lanes.iter().map(|(_, lane)| lane.len()).sum()
    }

    /// Drops all that waits, and takes nothing more.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        state.lanes.clear();
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State<K, T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K, T> State<K, T> {
    fn pop(&mut self) -> Option<T> {
        let (client, mut lane) = self.lanes.pop_front()?;
        let item = lane.pop_front();
        if !lane.is_empty() {
            self.lanes.push_back((client, lane));
        }
        item
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{sync::Arc, thread};

    #[test]
    fn clients_take_turns_and_their_own_requests_keep_their_order() {
        let queue = FairQueue::new();
        for item in ["a1", "a2", "a3", "b1", "c1", "b2"] {
            queue.push(item.as_bytes()[0], item).unwrap();
        }
        let order: Vec<&str> = std::iter::from_fn(|| match queue.next(false) {
            Next::Item(item) => Some(item),
            _ => None,
        })
        .collect();
        assert_eq!(order, ["a1", "b1", "c1", "a2", "b2", "a3"]);
    }

    #[test]
    fn who_waits_is_woken_by_an_item_and_by_the_end() {
        let queue = Arc::new(FairQueue::new());
        let other = queue.clone();
        let waiter = thread::spawn(move || [other.next(true), other.next(true)]);
        queue.push(0, "x").unwrap();
        while queue.lock().lanes.iter().any(|(_, lane)| !lane.is_empty()) {
            thread::yield_now();
        }
        queue.close();
        assert_eq!(waiter.join().unwrap(), [Next::Item("x"), Next::Closed]);
        assert_eq!(queue.push(0, "y"), Err("y"));
    }
}
