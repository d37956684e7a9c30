//! What a connection has received and not yet acknowledged: begun in order, made durable at the same time, acknowledged in order.

use std::collections::VecDeque;
use std::task::{Context, Poll, ready};

use futures_util::future::BoxFuture;
use runtime::BusError;
use runtime::bus::Delivery;

/// Most items that wait behind the window; a full one stops reading from the client.
const MAX_WAITING: usize = 1024;
/// Most bytes that wait behind the window.
const MAX_WAITING_BYTES: usize = 1 << 20;

/// An item that was handed over and is not yet durable.
pub(crate) struct Begun<A> {
    /// What to do when it is durable.
    pub(crate) answer: A,
    /// Resolves when it is.
    pub(crate) durable: Delivery,
}

/// Handing an item over; may wait for room in the producer's queue.
pub(crate) type Beginning<A> = BoxFuture<'static, Result<Begun<A>, BusError>>;

/// Items in the order of their arrival.
pub(crate) struct Pipeline<W, A> {
    waiting: VecDeque<(W, usize)>,
    waiting_bytes: usize,
    beginning: Option<Beginning<A>>,
    in_flight: VecDeque<Begun<A>>,
    window: usize,
    /// What ends the pipeline, once the answers before it have been given.
    failure: Option<BusError>,
}

impl<W, A> Pipeline<W, A> {
    /// Makes a pipeline that hands at most `window` items over at once.
    pub(crate) fn new(window: usize) -> Self {
        Self {
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            beginning: None,
            in_flight: VecDeque::new(),
            window,
            failure: None,
        }
    }

    /// Takes an item in. Callers ask [`Pipeline::is_full`] before they read on.
    pub(crate) fn push(&mut self, work: W, bytes: usize) {
        self.waiting_bytes += bytes;
        self.waiting.push_back((work, bytes));
    }

    /// Whether no more should be read from the client.
    pub(crate) fn is_full(&self) -> bool {
        self.waiting.len() >= MAX_WAITING || self.waiting_bytes >= MAX_WAITING_BYTES
    }

    /// Whether everything has been answered.
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.beginning.is_none() && self.in_flight.is_empty()
    }

    /// Returns what may be answered now, in order of arrival (nothing when only room has been made); pends while there is
    /// neither. `begin` hands an item over. After an error the pipeline is of no more use.
    pub(crate) fn poll_answers(
        &mut self,
        context: &mut Context<'_>,
        begin: &impl Fn(W) -> Beginning<A>,
    ) -> Poll<Result<Vec<A>, BusError>> {
        if let Some(failure) = self.failure.take() {
            return Poll::Ready(Err(failure));
        }
        let was_full = self.is_full();
        let mut answers = Vec::new();
        let outcome = self.advance(context, begin, &mut answers);
        match outcome {
            Err(failure) if answers.is_empty() => Poll::Ready(Err(failure)),
            Err(failure) => {
                self.failure = Some(failure);
                Poll::Ready(Ok(answers))
            }
            Ok(()) if answers.is_empty() && (!was_full || self.is_full()) => Poll::Pending,
            Ok(()) => Poll::Ready(Ok(answers)),
        }
    }

    fn advance(
        &mut self,
        context: &mut Context<'_>,
        begin: &impl Fn(W) -> Beginning<A>,
        answers: &mut Vec<A>,
    ) -> Result<(), BusError> {
        loop {
            self.hand_over(context, begin)?;
            let answered = answers.len();
            while let Some(first) = self.in_flight.front_mut() {
                match first.durable.as_mut().poll(context) {
                    Poll::Ready(outcome) => {
                        outcome?;
                        answers.extend(self.in_flight.pop_front().map(|begun| begun.answer));
                    }
                    Poll::Pending => break,
                }
            }
            if answers.len() == answered {
                return Ok(());
            }
        }
    }

    fn hand_over(&mut self, context: &mut Context<'_>, begin: &impl Fn(W) -> Beginning<A>) -> Result<(), BusError> {
        while self.in_flight.len() < self.window {
            if self.beginning.is_none() {
                let Some((work, bytes)) = self.waiting.pop_front() else {
                    return Ok(());
                };
                self.waiting_bytes -= bytes;
                self.beginning = Some(begin(work));
            }
            match self.poll_beginning(context) {
                Poll::Ready(begun) => self.in_flight.push_back(begun?),
                Poll::Pending => return Ok(()),
            }
        }
        Ok(())
    }

    fn poll_beginning(&mut self, context: &mut Context<'_>) -> Poll<Result<Begun<A>, BusError>> {
        let Some(beginning) = &mut self.beginning else {
            return Poll::Pending;
        };
        let outcome = ready!(beginning.as_mut().poll(context));
        self.beginning = None;
        Poll::Ready(outcome)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tokio::sync::oneshot;

    use super::*;

    type Outcome = Result<(), BusError>;

    /// Remembers what was handed over and decides when it is durable.
    #[derive(Clone, Default)]
    struct Hand(Arc<Mutex<Vec<Option<oneshot::Sender<Outcome>>>>>);

    impl Hand {
        fn begin(&self, work: usize) -> Beginning<usize> {
            let (sender, receiver) = oneshot::channel();
            self.0.lock().unwrap().push(Some(sender));
            Box::pin(async move {
                Ok(Begun {
                    answer: work,
                    durable: Box::pin(async move { receiver.await.unwrap() }),
                })
            })
        }

        fn begun(&self) -> usize {
            self.0.lock().unwrap().len()
        }

        fn finish(&self, at: usize, outcome: Outcome) {
            self.0.lock().unwrap()[at].take().unwrap().send(outcome).unwrap();
        }
    }

    fn poll(pipeline: &mut Pipeline<usize, usize>, hand: &Hand) -> Poll<Result<Vec<usize>, String>> {
        let mut context = Context::from_waker(std::task::Waker::noop());
        let hand = hand.clone();
        pipeline
            .poll_answers(&mut context, &move |work| hand.begin(work))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn answers_come_in_order_whatever_becomes_durable_first() {
        let (mut pipeline, hand) = (Pipeline::new(8), Hand::default());
        for work in 0..4 {
            pipeline.push(work, 1);
        }
        assert_eq!(poll(&mut pipeline, &hand), Poll::Pending);
        assert_eq!(hand.begun(), 4, "all are on their way at once");
        for at in [3, 1, 2] {
            hand.finish(at, Ok(()));
            assert_eq!(poll(&mut pipeline, &hand), Poll::Pending);
        }
        hand.finish(0, Ok(()));
        assert_eq!(poll(&mut pipeline, &hand), Poll::Ready(Ok(vec![0, 1, 2, 3])));
        assert!(pipeline.is_empty());
        assert_eq!(poll(&mut pipeline, &hand), Poll::Pending);
    }

    #[test]
    fn no_more_than_the_window_is_handed_over_and_the_rest_is_bounded() {
        let (mut pipeline, hand) = (Pipeline::new(2), Hand::default());
        while !pipeline.is_full() {
            pipeline.push(0, 1);
        }
        assert_eq!(pipeline.waiting.len(), MAX_WAITING);
        assert_eq!(
            poll(&mut pipeline, &hand),
            Poll::Ready(Ok(vec![])),
            "there is room again"
        );
        assert_eq!(poll(&mut pipeline, &hand), Poll::Pending);
        assert_eq!(hand.begun(), 2);
        assert!(!pipeline.is_full());
        hand.finish(0, Ok(()));
        assert_eq!(poll(&mut pipeline, &hand), Poll::Ready(Ok(vec![0])));
        assert_eq!(hand.begun(), 3, "the next one is begun in the same turn");
        let mut large = Pipeline::<usize, usize>::new(2);
        large.push(0, MAX_WAITING_BYTES);
        assert!(large.is_full());
    }

    #[test]
    fn a_failure_answers_nothing() {
        let (mut pipeline, hand) = (Pipeline::new(8), Hand::default());
        pipeline.push(0, 1);
        pipeline.push(1, 1);
        assert_eq!(poll(&mut pipeline, &hand), Poll::Pending);
        hand.finish(1, Ok(()));
        hand.finish(0, Err(BusError::NotConfirmed("away".to_owned())));
        assert!(matches!(poll(&mut pipeline, &hand), Poll::Ready(Err(_))));
    }

    #[test]
    fn what_was_durable_before_a_failure_is_answered() {
        let (mut pipeline, hand) = (Pipeline::new(8), Hand::default());
        pipeline.push(0, 1);
        pipeline.push(1, 1);
        assert_eq!(poll(&mut pipeline, &hand), Poll::Pending);
        hand.finish(0, Ok(()));
        hand.finish(1, Err(BusError::NotConfirmed("away".to_owned())));
        assert_eq!(poll(&mut pipeline, &hand), Poll::Ready(Ok(vec![0])));
        assert!(matches!(poll(&mut pipeline, &hand), Poll::Ready(Err(_))));
    }
}
