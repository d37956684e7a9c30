//! Which replica gets a request. Pure.

/// One replica as the balancer sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Load {
    /// Requests that it has not answered to the end.
    pub(super) in_flight: usize,
    /// Until when it is passed over, in milliseconds of a steady clock.
    pub(super) ejected_until: u64,
    /// Whether this request was tried there already.
    pub(super) tried: bool,
}

/// Chooses the replica with the least requests in flight among those that answer; `turn` spreads ties.
///
/// When all were ejected, the one that was ejected first is tried: it may be back, and refusing would help nobody.
pub(super) fn choose(replicas: &[Load], now: u64, turn: usize) -> Option<usize> {
    let count = replicas.len();
    let open = |index: &usize| !replicas[*index].tried;
    let from_turn = || (0..count).map(|step| (turn + step) % count).filter(open);
    let healthy = from_turn().filter(|&index| replicas[index].ejected_until <= now);
    healthy
        .min_by_key(|&index| replicas[index].in_flight)
        .or_else(|| from_turn().min_by_key(|&index| (replicas[index].ejected_until, replicas[index].in_flight)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(in_flight: usize, ejected_until: u64) -> Load {
        Load {
            in_flight,
            ejected_until,
            tried: false,
        }
    }

    #[test]
    fn the_least_loaded_that_answers() {
        let tried = |mut load: Load| {
            load.tried = true;
            load
        };
        let table = [
            (vec![], None),
            (vec![load(3, 0), load(1, 0), load(2, 0)], Some(1)),
            (vec![load(3, 0), load(1, 200), load(2, 0)], Some(2)),
            (vec![load(3, 0), load(1, 100), load(2, 0)], Some(1)),
            (vec![tried(load(0, 0)), load(5, 0)], Some(1)),
            (vec![tried(load(0, 0))], None),
            (vec![load(0, 300), load(9, 200)], Some(1)),
            (vec![load(0, 300), tried(load(9, 200))], Some(0)),
        ];
        for (replicas, expected) in table {
            assert_eq!(choose(&replicas, 100, 0), expected, "{replicas:?}");
        }
    }

    #[test]
    fn ties_take_turns() {
        let replicas = [load(0, 0); 3];
        let chosen: Vec<_> = (0..6).filter_map(|turn| choose(&replicas, 0, turn)).collect();
        assert_eq!(chosen, [0, 1, 2, 0, 1, 2]);
    }

    #[test]
    fn many_requests_spread_evenly() {
        let mut replicas = [load(0, 0); 3];
        for turn in 0..300 {
            let chosen = choose(&replicas, 0, turn).unwrap();
            replicas[chosen].in_flight += 1;
        }
        assert!(replicas.iter().all(|replica| replica.in_flight == 100));
    }
}
