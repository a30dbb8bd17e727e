//! The rank-sum test: are these numbers smaller than those, or was it luck?

/// The chance that two samples of the same distribution differ at least as much in this direction: the one-sided p of
/// the Mann–Whitney U test (Mann and Whitney, 1947) for "`less` is smaller than `more`".
///
/// It is exact, ties included: all ways to deal the pooled mid-ranks out to the two samples are counted with the shift
/// algorithm (Streitberg and Röhmel, 1986), so nothing is approximated for small samples.
pub(super) fn chance_of_less(less: &[f64], more: &[f64]) -> f64 {
    let mut pooled: Vec<(f64, bool)> =
        less.iter().map(|x| (*x, true)).chain(more.iter().map(|x| (*x, false))).collect();
    pooled.sort_by(|a, b| a.0.total_cmp(&b.0));
    // Twice the mid-rank is a whole number.
    let mut ranks: Vec<usize> = Vec::with_capacity(pooled.len());
    let mut start = 0;
    while let Some((value, _)) = pooled.get(start) {
        let end = start + pooled[start..].iter().take_while(|(other, _)| other.total_cmp(value).is_eq()).count();
        ranks.extend(std::iter::repeat_n(start + end + 1, end - start));
        start = end;
    }
    let observed: usize = ranks.iter().zip(&pooled).filter(|(_, (_, is_less))| *is_less).map(|(rank, _)| rank).sum();
    // ways[n][sum]: in how many ways n of the ranks seen so far have this sum.
    let most: usize = ranks.iter().sum();
    let mut ways = vec![vec![0.0_f64; most + 1]; less.len() + 1];
    ways[0][0] = 1.0;
    for &rank in &ranks {
        for n in (1..=less.len()).rev() {
            for sum in (rank..=most).rev() {
                ways[n][sum] += ways[n - 1][sum - rank];
            }
        }
    }
    let all: f64 = ways[less.len()].iter().sum();
    let as_low: f64 = ways[less.len()].iter().take(observed + 1).sum();
    as_low / all
}

/// The middle of the numbers; `None` where there are none.
pub(super) fn median(numbers: &[f64]) -> Option<f64> {
    let mut sorted = numbers.to_vec();
    sorted.sort_by(f64::total_cmp);
    let upper = *sorted.get(sorted.len() / 2)?;
    let lower = *sorted.get((sorted.len() - 1) / 2)?;
    Some(f64::midpoint(lower, upper))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn close(a: f64, b: f64) {
        assert!((a - b).abs() < 1e-9, "{a} is not {b}");
    }

    #[test]
    fn complete_separation_has_the_chance_of_one_deal_among_all() {
        close(chance_of_less(&[1.0, 2.0, 3.0, 4.0, 5.0], &[6.0, 7.0, 8.0, 9.0, 10.0]), 1.0 / 252.0);
        close(chance_of_less(&[6.0, 7.0, 8.0, 9.0, 10.0], &[1.0, 2.0, 3.0, 4.0, 5.0]), 1.0);
    }

    #[test]
    fn the_chance_is_the_one_of_the_published_tables() {
        // U = 2 of 4 and 4: four of 70 deals (the table of Mann and Whitney, 1947, gives .057).
        close(chance_of_less(&[1.0, 2.0, 3.0, 6.0], &[4.0, 5.0, 7.0, 8.0]), 4.0 / 70.0);
        // U = 1 of 3 and 3: two of 20, as in the same table (.100).
        close(chance_of_less(&[1.0, 2.0, 4.0], &[3.0, 5.0, 6.0]), 2.0 / 20.0);
    }

    #[test]
    fn equal_numbers_show_nothing() {
        close(chance_of_less(&[1.0; 8], &[1.0; 8]), 1.0);
    }

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(median(&[]), None);
    }

    /// By definition: every deal is tried.
    fn by_trying(less: &[f64], more: &[f64]) -> f64 {
        let pooled: Vec<f64> = less.iter().chain(more).copied().collect();
        let u = |mask: u32| -> f64 {
            let of = |wanted: bool| pooled.iter().enumerate().filter(move |(i, _)| (mask >> i & 1 == 1) == wanted);
            let pairs = of(true).flat_map(|(_, a)| of(false).map(move |(_, b)| (a, b)));
            pairs
                .map(|(a, b)| {
                    if a > b {
                        1.0
                    } else if a == b {
                        0.5
                    } else {
                        0.0
                    }
                })
                .sum()
        };
        let deals = (0..1_u32 << pooled.len()).filter(|mask| mask.count_ones() as usize == less.len());
        let observed = u((1 << less.len()) - 1);
        let (all, low) =
            deals.fold((0.0, 0.0), |(all, low), mask| (all + 1.0, if u(mask) <= observed { low + 1.0 } else { low }));
        low / all
    }

    proptest! {
        #[test]
        fn counting_and_trying_agree(
            less in proptest::collection::vec(0_u8..6, 1..6),
            more in proptest::collection::vec(0_u8..6, 1..6),
        ) {
            let (less, more): (Vec<f64>, Vec<f64>) =
                (less.into_iter().map(f64::from).collect(), more.into_iter().map(f64::from).collect());
            close(chance_of_less(&less, &more), by_trying(&less, &more));
        }

        #[test]
        fn the_chance_is_a_chance(
            less in proptest::collection::vec(any::<f64>(), 0..8),
            more in proptest::collection::vec(any::<f64>(), 0..8),
        ) {
            let p = chance_of_less(&less, &more);
            prop_assert!(p > 0.0 && p <= 1.0, "{p}");
        }
    }
}
