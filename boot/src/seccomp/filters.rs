//! Filters, and the order in which they were installed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use cloister_bpf::{Data, Program};

use super::Action;
use crate::error::{Fail, fail};
use crate::prelude::errno;

/// Most instructions of all filters of a task (`MAX_INSNS_PER_PATH` of Linux), each filter counting a few more than it has.
const MAX_INSTRUCTIONS: usize = (1 << 18) / 8;
const INSTRUCTIONS_PER_FILTER: usize = 4;

/// The numbers of calls for which the answer is remembered.
const REMEMBERED_CALLS: usize = 512;

/// A filter.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Filter {
    /// What looks at calls.
    pub(super) program: Program,
    /// Whether calls that it does not allow are logged (`SECCOMP_FILTER_FLAG_LOG`).
    pub(super) logs: bool,
}

impl Filter {
    /// Makes one.
    pub(crate) fn new(program: Program, logs: bool) -> Self {
        Self { program, logs }
    }
}

/// The filters of a task, in the order in which they were installed. They never change: installing one makes others.
#[derive(Debug)]
pub(crate) struct Filters {
    list: Vec<Arc<Filter>>,
    /// A bit for each number of a call that all filters allow, whatever its arguments are.
    always_allowed: [AtomicU64; REMEMBERED_CALLS / 64],
}

impl Filters {
    /// Takes filters in the order of their installation.
    ///
    /// # Errors
    ///
    /// `ENOMEM` if they have too many instructions in all.
    pub(super) fn new(list: Vec<Arc<Filter>>) -> Result<Self, Fail> {
        let cost = |filter: &Arc<Filter>| filter.program.instructions().len() + INSTRUCTIONS_PER_FILTER;
        if list.iter().map(cost).sum::<usize>() > MAX_INSTRUCTIONS {
            return Err(fail(errno::ENOMEM, "too many instructions in all filters"));
        }
        Ok(Self { list, always_allowed: Default::default() })
    }

    /// Returns these filters and `filter` behind them.
    ///
    /// # Errors
    ///
    /// As [`Filters::new`].
    pub(super) fn with(&self, filter: Arc<Filter>) -> Result<Self, Fail> {
        Self::new(self.list.iter().cloned().chain([filter]).collect())
    }

    /// Returns the filters.
    pub(super) fn list(&self) -> &[Arc<Filter>] {
        &self.list
    }

    /// Returns whether `others` are these or were made of them.
    pub(super) fn is_ancestor_of(&self, others: &Self) -> bool {
        others
            .list
            .get(..self.list.len())
            .is_some_and(|first| first.iter().zip(&self.list).all(|(other, own)| Arc::ptr_eq(other, own)))
    }

    /// Returns what becomes of a call, and whether that is to be logged.
    pub(super) fn judge(&self, data: &Data) -> (Action, bool) {
        let number = usize::try_from(data.number()).unwrap_or(usize::MAX);
        let bit = 1_u64 << (number % 64);
        let word = self.always_allowed.get(number / 64);
        if word.is_some_and(|word| word.load(Ordering::Relaxed) & bit != 0) {
            return (Action::Allow, false);
        }
        // The filter that was installed last runs first, and its data counts among equal actions.
        let mut value = u32::MAX >> 1;
        let mut logs = false;
        let mut is_constant = true;
        for filter in self.list.iter().rev() {
            let verdict = filter.program.run(data);
            let stricter = Action::stricter(value, verdict.value);
            logs = if stricter == value { logs } else { filter.logs };
            value = stricter;
            is_constant &= verdict.is_constant;
        }
        let action = Action::from_value(value);
        if let Some(word) = word.filter(|_| is_constant && action == Action::Allow) {
            word.fetch_or(bit, Ordering::Relaxed);
        }
        (action, logs && action != Action::Allow)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use cloister_bpf::Instruction;
    use cloister_bpf::opcode::JEQ;

    use super::*;

    /// A filter that gives `value` to the call `number`, and allows the others.
    pub(in crate::seccomp) fn filter(number: u32, value: u32) -> Arc<Filter> {
        let program = [
            Instruction::load(Data::NUMBER),
            Instruction::jump_if(JEQ, number, 0, 1),
            Instruction::ret(value),
            Instruction::ret(0x7fff_0000),
        ];
        Arc::new(Filter::new(Program::new(program).unwrap(), false))
    }

    fn judge(filters: &Filters, number: u32, argument: u64) -> Action {
        filters.judge(&Data::new(number, 0, 0, [argument; 6])).0
    }

    #[test]
    fn the_last_of_equal_actions_gives_the_data() {
        let filters =
            Filters::new(vec![filter(1, 0x5_0001), filter(1, 0x5_0002), filter(2, 0x5_0003)]).unwrap();
        assert_eq!(judge(&filters, 1, 0), Action::Errno(2));
        assert_eq!(judge(&filters, 2, 0), Action::Errno(3));
        assert_eq!(judge(&filters, 3, 0), Action::Allow);
        let stricter = filters.with(filter(1, 0)).unwrap();
        assert_eq!(judge(&stricter, 1, 0), Action::KillThread);
        assert!(filters.is_ancestor_of(&stricter) && !stricter.is_ancestor_of(&filters));
        let others = Filters::new(vec![filter(1, 0x5_0001)]).unwrap();
        assert!(
            !others.is_ancestor_of(&filters) && Filters::new(Vec::new()).unwrap().is_ancestor_of(&others)
        );
    }

    #[test]
    fn only_what_arguments_cannot_change_is_remembered() {
        let program = [
            Instruction::load(Data::NUMBER),
            Instruction::jump_if(JEQ, 7, 0, 2),
            Instruction::load(Data::argument(0)),
            Instruction::jump_if(JEQ, 5, 1, 0),
            Instruction::ret(0x7fff_0000),
            Instruction::ret(0x5_0001),
        ];
        let filters =
            Filters::new(vec![Arc::new(Filter::new(Program::new(program).unwrap(), false))]).unwrap();
        for number in [6, 511, 512, u32::MAX] {
            assert_eq!(
                (judge(&filters, number, 5), judge(&filters, number, 5)),
                (Action::Allow, Action::Allow)
            );
        }
        assert_eq!((judge(&filters, 7, 4), judge(&filters, 7, 5)), (Action::Allow, Action::Errno(1)));
        let bits = |word: usize| filters.always_allowed[word].load(Ordering::Relaxed);
        assert_eq!((bits(0), bits(7)), (1 << 6, 1 << 63));
    }

    #[test]
    fn all_filters_of_a_task_have_a_bound() {
        let long = || Arc::new(Filter::new(Program::new(vec![Instruction::ret(0); 4096]).unwrap(), false));
        let most = Filters::new((0..7).map(|_| long()).collect()).unwrap();
        assert!(most.with(long()).is_err_and(|failure| failure.is(errno::ENOMEM)));
    }
}
