//! Whose lines are shown.

use glob::Pattern;
use rspy_profile::analysis::LinesOf;

use crate::cli::FunctionArguments;

/// Of how many functions lines are shown, and for what part of the whole, unless told otherwise.
const MOST: usize = 10;
const ENOUGH: f64 = 0.8;

impl FunctionArguments {
    /// Those of `all`, ordered by `amount`, the largest first; of themselves as many as make most of the sum.
    pub fn of<'a>(&self, all: &'a [LinesOf], amount: impl Fn(&LinesOf) -> f64) -> Vec<&'a LinesOf> {
        let mut chosen: Vec<&LinesOf> = all.iter().filter(|function| self.includes(function)).collect();
        // Equal ones stay in their order.
        chosen.sort_by(|one, other| amount(other).total_cmp(&amount(one)));
        match self.limit {
            Some(0) => {}
            Some(limit) => chosen.truncate(limit),
            None if !self.function.is_empty() || !self.file.is_empty() => {}
            None => {
                let enough = ENOUGH * all.iter().map(&amount).sum::<f64>();
                let mut sum = 0.0;
                let count = chosen
                    .iter()
                    .take_while(|function| {
                        let is_more = sum < enough && amount(function) > 0.0;
                        sum += amount(function);
                        is_more
                    })
                    .count();
                chosen.truncate(count.min(MOST));
            }
        }
        chosen
    }

    fn includes(&self, function: &LinesOf) -> bool {
        let last = function.name.rsplit('.').next().unwrap_or_default();
        let is_named = |name: &Pattern| name.matches(&function.name) || name.matches(last);
        (self.function.is_empty() || self.function.iter().any(is_named))
            && (self.file.is_empty() || self.file.iter().any(|file| file.matches(&function.file)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rspy_profile::analysis::Time;

    fn of(name: &str, own: f64) -> LinesOf {
        LinesOf {
            name: name.to_owned(),
            file: "/srv/app.py".to_owned(),
            short_file: "app.py".to_owned(),
            first_line: Some(1),
            time: Time { own, ..Time::default() },
            lines: Vec::new(),
        }
    }

    fn chosen(names: &[&str], limit: Option<usize>) -> Vec<String> {
        let function = names.iter().map(|name| Pattern::new(name).unwrap()).collect();
        let choice = FunctionArguments { function, file: Vec::new(), limit };
        let all = [of("f", 1.0), of("C.g", 7.0), of("h", 2.0), of("i", 0.0)];
        choice.of(&all, |function| function.time.own).iter().map(|function| function.name.clone()).collect()
    }

    #[test]
    fn most_of_the_sum_is_enough() {
        assert_eq!(chosen(&[], None), ["C.g", "h"]);
        assert_eq!(chosen(&[], Some(1)), ["C.g"]);
        assert_eq!(chosen(&[], Some(0)), ["C.g", "h", "f", "i"]);
    }

    #[test]
    fn names_may_lack_their_class() {
        assert_eq!(chosen(&["g"], None), ["C.g"]);
        assert_eq!(chosen(&["C.*", "i"], None), ["C.g", "i"]);
        assert_eq!(chosen(&["none"], None), [""; 0]);
    }
}
