//! The saved form of filters and modes.

use std::sync::Arc;

use cloister_bpf::{Instruction, Program};
use serde::{Deserialize, Serialize};

use super::{Filter, Filters, Mode};
use crate::error::Errno;
use crate::prelude::errno;

/// The saved form of a [`Filter`]: for each instruction its code, its jumps and its constant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FilterImage {
    instructions: Vec<(u16, u8, u8, u32)>,
    logs: bool,
}

/// The saved form of a [`Mode`]: filters, which tasks share, are ids.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum ModeImage {
    Disabled,
    Strict,
    Filter(Vec<u64>),
}

impl Filter {
    /// Saves it.
    pub(crate) fn to_image(&self) -> FilterImage {
        let instructions =
            self.program.instructions().iter().map(|one| (one.code, one.jt, one.jf, one.k)).collect();
        FilterImage { instructions, logs: self.logs }
    }

    /// Brings it back.
    ///
    /// # Errors
    ///
    /// `EINVAL` if the program is none that is taken.
    pub(crate) fn from_image(image: &FilterImage) -> Result<Self, Errno> {
        let instructions: Vec<_> =
            image.instructions.iter().map(|&(code, jt, jf, k)| Instruction { code, jt, jf, k }).collect();
        let program = Program::new(instructions).map_err(|_| errno::EINVAL)?;
        Ok(Self::new(program, image.logs))
    }
}

impl Mode {
    /// Saves it; `filter_id` tells the ids of filters.
    pub(crate) fn to_image(&self, filter_id: &dyn Fn(&Arc<Filter>) -> u64) -> ModeImage {
        match self {
            Self::Disabled => ModeImage::Disabled,
            Self::Strict => ModeImage::Strict,
            Self::Filter(filters) => ModeImage::Filter(filters.list().iter().map(filter_id).collect()),
        }
    }

    /// Brings it back; `filter_of` finds filters by their ids.
    ///
    /// # Errors
    ///
    /// `EINVAL` if a filter is not there or they are too many.
    pub(crate) fn from_image(
        image: &ModeImage,
        filter_of: &dyn Fn(u64) -> Option<Arc<Filter>>,
    ) -> Result<Self, Errno> {
        Ok(match image {
            ModeImage::Disabled => Self::Disabled,
            ModeImage::Strict => Self::Strict,
            ModeImage::Filter(ids) => {
                let list = ids.iter().map(|id| filter_of(*id)).collect::<Option<Vec<_>>>();
                let filters = Filters::new(list.ok_or(errno::EINVAL)?).map_err(|_| errno::EINVAL)?;
                Self::Filter(Arc::new(filters))
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seccomp::filters::tests::filter;
    use crate::testing::saved;

    #[test]
    fn modes_come_back_with_the_filters_that_they_share() {
        let filters = [filter(1, 0x5_0001), filter(2, 0)];
        let mode = Mode::Filter(Arc::new(Filters::new(filters.to_vec()).unwrap()));
        let id = |one: &Arc<Filter>| filters.iter().position(|other| Arc::ptr_eq(one, other)).unwrap() as u64;
        let image = saved(&mode.to_image(&id));
        let restored: Vec<_> = filters
            .iter()
            .map(|one| Arc::new(Filter::from_image(&saved(&one.to_image())).unwrap()))
            .collect();
        assert!(restored.iter().eq(&filters));
        let find = |id: u64| restored.get(usize::try_from(id).unwrap()).cloned();
        let Mode::Filter(again) = Mode::from_image(&image, &find).unwrap() else { panic!("not filter mode") };
        assert!(again.list().iter().zip(&restored).all(|(one, other)| Arc::ptr_eq(one, other)));
        Mode::from_image(&image, &|_| None).unwrap_err();
        let strict = saved(&Mode::Strict.to_image(&id));
        assert!(matches!(Mode::from_image(&strict, &find), Ok(Mode::Strict)));
        let nonsense = FilterImage { instructions: vec![(0xffff, 0, 0, 0)], logs: false };
        Filter::from_image(&nonsense).unwrap_err();
    }
}
