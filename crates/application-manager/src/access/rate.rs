//! Token buckets against guessing. Pure: the clock is an argument.

use std::collections::HashMap;

/// Buckets that are kept at most; full ones are forgotten first.
const MOST: usize = 10_000;

/// Buckets by key (an address, an account).
#[derive(Debug)]
pub(crate) struct Buckets {
    burst: f64,
    per_second: f64,
    buckets: HashMap<String, Bucket>,
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    tokens: f64,
    at_ms: u64,
}

impl Buckets {
    /// Makes buckets that hold `burst` tries and gain one each `seconds`.
    pub(crate) fn new(burst: u32, seconds: f64) -> Self {
        Self {
            burst: f64::from(burst),
            per_second: 1.0 / seconds,
            buckets: HashMap::new(),
        }
    }

    /// Takes one try.
    ///
    /// # Errors
    /// Seconds to wait when there is none.
    pub(crate) fn take(&mut self, key: &str, now_ms: u64) -> Result<(), u64> {
        let mut bucket = self.current(key, now_ms);
        if bucket.tokens < 1.0 {
            let seconds = (1.0 - bucket.tokens) / self.per_second;
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a small positive number"
            )]
            return Err(seconds.ceil().max(1.0) as u64);
        }
        bucket.tokens -= 1.0;
        self.keep(key, bucket, now_ms);
        Ok(())
    }

    /// Gives a try back: it was the right password.
    pub(crate) fn give_back(&mut self, key: &str, now_ms: u64) {
        let mut bucket = self.current(key, now_ms);
        bucket.tokens = (bucket.tokens + 1.0).min(self.burst);
        self.keep(key, bucket, now_ms);
    }

    fn current(&self, key: &str, now_ms: u64) -> Bucket {
        self.buckets.get(key).map_or(
            Bucket {
                tokens: self.burst,
                at_ms: now_ms,
            },
            |bucket| self.refilled(*bucket, now_ms),
        )
    }

    fn refilled(&self, bucket: Bucket, now_ms: u64) -> Bucket {
        #[expect(clippy::cast_precision_loss, reason = "milliseconds of a process's life")]
        let seconds = now_ms.saturating_sub(bucket.at_ms) as f64 / 1000.0;
        Bucket {
            tokens: (bucket.tokens + seconds * self.per_second).min(self.burst),
            at_ms: now_ms,
        }
    }

    fn keep(&mut self, key: &str, bucket: Bucket, now_ms: u64) {
        if self.buckets.len() >= MOST {
            let full: Vec<String> = self
                .buckets
                .iter()
                .filter(|(_, bucket)| self.refilled(**bucket, now_ms).tokens >= self.burst)
                .map(|(key, _)| key.clone())
                .collect();
            for key in full {
                self.buckets.remove(&key);
            }
            if self.buckets.len() >= MOST {
                // Someone spreads over thousands of addresses: the account's own bucket still holds.
                self.buckets.clear();
            }
        }
        self.buckets.insert(key.to_owned(), bucket);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_the_burst_one_try_comes_back_each_interval() {
        let mut buckets = Buckets::new(3, 10.0);
        for _ in 0..3 {
            assert_eq!(buckets.take("a", 0), Ok(()));
        }
        assert_eq!(buckets.take("a", 0), Err(10));
        assert_eq!(buckets.take("b", 0), Ok(()), "another key has its own tries");
        assert_eq!(buckets.take("a", 4_000), Err(6));
        assert_eq!(buckets.take("a", 10_000), Ok(()));
        assert_eq!(buckets.take("a", 10_000), Err(10));
        buckets.give_back("a", 10_000);
        assert_eq!(buckets.take("a", 10_000), Ok(()));
    }

    #[test]
    fn the_number_of_buckets_is_bounded() {
        let mut buckets = Buckets::new(3, 10.0);
        for key in 0..25_000 {
            assert_eq!(buckets.take(&key.to_string(), 0), Ok(()));
        }
        assert!(buckets.buckets.len() <= MOST);
    }
}
