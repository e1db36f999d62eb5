//! A first-in-first-out queue with a bound.
//!
//! Every queue of the system has a bound and says what happens at it. This one refuses, and gives the
//! refused member back, so that the producer decides: shed, wait, or fail.

use std::collections::VecDeque;

/// A queue that holds at most `capacity` members.
///
/// - `len() <= capacity()` always.
/// - Members leave in the order in which they came.
#[derive(Clone, Debug)]
pub struct BoundedQueue<T> {
    members: VecDeque<T>,
    capacity: usize,
}

/// The queue was full; here is what was not taken.
#[derive(Debug, PartialEq, Eq)]
pub struct Full<T>(pub T);

impl<T> BoundedQueue<T> {
    /// Panics on a capacity of zero: such a queue could never pass anything on.
    pub fn new(capacity: usize) -> BoundedQueue<T> {
        assert!(capacity > 0, "a queue needs room for one member");
        BoundedQueue { members: VecDeque::new(), capacity }
    }

    pub fn push(&mut self, member: T) -> Result<(), Full<T>> {
        if self.is_full() {
            return Err(Full(member));
        }
        self.members.push_back(member);
        Ok(())
    }

    pub fn pop(&mut self) -> Option<T> {
        self.members.pop_front()
    }

    pub fn peek(&self) -> Option<&T> {
        self.members.front()
    }

    /// Takes everything, oldest first.
    pub fn drain(&mut self) -> impl Iterator<Item = T> + '_ {
        self.members.drain(..)
    }

    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.members.iter()
    }

    pub fn len(&self) -> usize {
        self.members.len()
    }

    pub fn capacity(&self) -> usize {
        self.capacity
    }

    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    pub fn is_full(&self) -> bool {
        self.members.len() >= self.capacity
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_at_its_bound_and_gives_the_member_back() {
        let mut queue = BoundedQueue::new(2);
        assert_eq!(queue.push(1), Ok(()));
        assert_eq!(queue.push(2), Ok(()));
        assert_eq!(queue.push(3), Err(Full(3)));
        assert_eq!(queue.pop(), Some(1));
        assert_eq!(queue.push(3), Ok(()));
        assert_eq!(queue.drain().collect::<Vec<_>>(), [2, 3]);
        assert!(queue.is_empty());
    }
}
