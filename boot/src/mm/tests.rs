use std::ops::Range;
use std::sync::Arc;

use cloister_platform::Protection;
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::error::Fail;
use crate::prelude::errno;
use crate::testing::TestKernel;

/// Pages that the tests map: far from where addresses are chosen.
const START: u64 = 0x1000_0000;
const PAGES: u64 = 24;

fn empty_mm() -> Arc<Mm> {
    let kernel = TestKernel::new();
    let mut task = kernel.root_task();
    Arc::clone(task.cx().mm())
}

fn address(page: u64) -> u64 {
    START + page * PAGE_BYTES
}

fn object() -> Arc<MemoryObject> {
    MemoryObject::with_len(PAGE_BYTES * PAGES, ObjectOwner::Anonymous).unwrap()
}

fn shared(object: &Arc<MemoryObject>, offset: u64, protection: Protection) -> Vma {
    let mut vma = Vma::anonymous(protection, VmaFlags::SHARED);
    vma.backing = VmaBacking::Object { object: Arc::clone(object), offset };
    vma
}

/// What a page shows: its protection, and where it is in the shared memory, if it is of that.
type Page = Option<(Protection, Option<u64>)>;

/// Returns what the pages of the tests show.
fn pages(mm: &Mm) -> Vec<Page> {
    (0..PAGES)
        .map(|page| {
            let (range, vma) = mm.find(address(page))?;
            let offset = vma.object().map(|(_, offset)| offset + address(page) - range.start);
            Some((vma.protection, offset))
        })
        .collect()
}

#[derive(Clone, Debug)]
enum Step {
    Map { range: Range<u64>, protection: Protection, is_shared: bool },
    Unmap(Range<u64>),
    Protect(Range<u64>, Protection),
    Move { from: Range<u64>, to: u64 },
    Resize { from: Range<u64>, len: u64 },
    Lock(Range<u64>),
}

fn range() -> impl Strategy<Value = Range<u64>> {
    (0..PAGES, 1..8_u64).prop_map(|(start, len)| start..(start + len).min(PAGES))
}

fn protection() -> impl Strategy<Value = Protection> {
    prop_oneof![
        Just(Protection::empty()),
        Just(Protection::READ),
        Just(Protection::READ | Protection::WRITE),
        Just(Protection::READ | Protection::EXECUTE),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (range(), protection(), any::<bool>()).prop_map(|(range, protection, is_shared)| Step::Map {
            range,
            protection,
            is_shared
        }),
        1 => range().prop_map(Step::Unmap),
        2 => (range(), protection()).prop_map(|(range, protection)| Step::Protect(range, protection)),
        1 => (range(), 0..PAGES).prop_map(|(from, to)| Step::Move { from, to }),
        1 => (range(), 1..8_u64).prop_map(|(from, len)| Step::Resize { from, len }),
        1 => range().prop_map(Step::Lock),
    ]
}

fn cells(range: &Range<u64>) -> Range<usize> {
    usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap()
}

fn addresses(range: &Range<u64>) -> Range<u64> {
    address(range.start)..address(range.end)
}

/// Returns whether the pages of `range` are one mapping as far as the model can tell.
fn is_one(model: &[Page], range: &Range<u64>) -> bool {
    let cells = &model[cells(range)];
    cells.windows(2).all(|pair| match (pair[0], pair[1]) {
        (Some((a, x)), Some((b, y))) => a == b && x.map(|x| x + PAGE_BYTES) == y,
        _ => false,
    }) && cells.iter().all(Option::is_some)
}

fn apply(mm: &Mm, model: &mut [Page], memory: &Arc<MemoryObject>, step: Step) {
    match step {
        Step::Map { range, protection, is_shared } => {
            let offset = range.start * PAGE_BYTES;
            let vma = if is_shared {
                shared(memory, offset, protection)
            } else {
                Vma::anonymous(protection, VmaFlags::empty())
            };
            let len = (range.end - range.start) * PAGE_BYTES;
            mm.map(Placement::Fixed(address(range.start)), len, vma).unwrap();
            for page in range {
                let offset = is_shared.then_some(page * PAGE_BYTES);
                model[usize::try_from(page).unwrap()] = Some((protection, offset));
            }
        }
        Step::Unmap(range) => {
            mm.unmap(addresses(&range)).unwrap();
            model[cells(&range)].fill(None);
        }
        Step::Protect(range, protection) => {
            let result = mm.protect(addresses(&range), protection, Extend::No);
            let cells = &mut model[cells(&range)];
            let mapped = cells.iter().take_while(|page| page.is_some()).count();
            assert_eq!(result.is_err_and(|failure| failure.is(errno::ENOMEM)), mapped < cells.len());
            cells[..mapped].iter_mut().flatten().for_each(|page| page.0 = protection);
        }
        Step::Move { from, to } => {
            let len = from.end - from.start;
            if to + len > PAGES {
                return;
            }
            let overlaps = to < from.end && from.start < to + len;
            let fits = is_one(model, &from);
            let moves = Move::Fixed(address(to));
            let result = mm.remap(addresses(&from), len * PAGE_BYTES, moves, OldPlace::Unmapped);
            assert_eq!(result.is_ok(), !overlaps && fits, "{from:?} to {to}");
            if result.is_ok() {
                let moved = model[cells(&from)].to_vec();
                model[cells(&from)].fill(None);
                model[cells(&(to..to + len))].copy_from_slice(&moved);
            }
        }
        Step::Resize { from, len } => resize(mm, model, &from, len),
        Step::Lock(range) => {
            let is_covered = model[cells(&range)].iter().all(Option::is_some);
            assert_eq!(mm.lock_range(addresses(&range)).is_ok(), is_covered);
            let _ = mm.unlock_range(addresses(&range));
        }
    }
}

fn resize(mm: &Mm, model: &mut [Page], from: &Range<u64>, len: u64) {
    let old_len = from.end - from.start;
    let result = mm.remap(addresses(from), len * PAGE_BYTES, Move::No, OldPlace::Unmapped);
    let first = model[usize::try_from(from.start).unwrap()];
    if len <= old_len {
        assert_eq!(result.is_ok(), first.is_some());
        if first.is_some() {
            model[cells(&(from.start + len..from.end))].fill(None);
        }
        return;
    }
    let grown = from.start + len;
    let is_free =
        grown <= PAGES && model[cells(&(from.end..grown))].iter().all(Option::is_none) && is_one(model, from);
    if grown > PAGES {
        // Beyond the model: put it back.
        if result.is_ok() {
            mm.unmap(address(PAGES)..address(grown)).unwrap();
            for page in from.end..PAGES {
                extend(model, page);
            }
        }
        return;
    }
    assert_eq!(result.is_ok(), is_free, "{from:?} to {len} pages");
    if is_free {
        for page in from.end..grown {
            extend(model, page);
        }
    }
}

/// Makes a page go on where the one before ends.
fn extend(model: &mut [Page], page: u64) {
    let at = usize::try_from(page).unwrap();
    model[at] =
        model[at - 1].map(|(protection, offset)| (protection, offset.map(|offset| offset + PAGE_BYTES)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn mappings_agree_with_a_page_table(steps in vec(step(), 1..40)) {
        let mm = empty_mm();
        let memory = object();
        let mut model = vec![None; usize::try_from(PAGES).unwrap()];
        for step in steps {
            apply(&mm, &mut model, &memory, step);
            prop_assert_eq!(pages(&mm), model.clone());
            let mapped = model.iter().flatten().count() as u64 * PAGE_BYTES;
            let is_data = |page: &&(Protection, Option<u64>)| page.0.contains(Protection::WRITE) && page.1.is_none();
            let data = model.iter().flatten().filter(is_data).count() as u64 * PAGE_BYTES;
            let totals = mm.totals();
            prop_assert_eq!((totals.all, totals.data, totals.locked), (mapped, data, 0));
        }
    }

    #[test]
    fn an_address_space_is_saved_and_restored(steps in vec(step(), 0..20)) {
        let mm = empty_mm();
        let memory = object();
        let mut model = vec![None; usize::try_from(PAGES).unwrap()];
        for step in steps {
            apply(&mm, &mut model, &memory, step);
        }
        let image = mm.to_image(|_| 7);
        let saved = serde_json::to_vec(&image).unwrap();
        let read = serde_json::from_slice(&saved).unwrap();
        let restored = Mm::from_image(Arc::clone(mm.space()), &read);
        let object_of = |number| (number == 7).then(|| Arc::clone(&memory));
        restored.restore(read, object_of, |_| None).unwrap();
        prop_assert_eq!(restored.to_image(|_| 7), image);
        prop_assert_eq!(pages(&restored), model);
        let (before, after) = (mm.totals(), restored.totals());
        prop_assert_eq!(Totals { peak: 0, ..before }, Totals { peak: 0, ..after });
    }
}

fn is_errno<T>(result: Result<T, Fail>, errno: crate::error::Errno) -> bool {
    result.is_err_and(|failure| failure.is(errno))
}

#[test]
fn limits_bound_what_is_mapped() {
    let mm = empty_mm();
    let limits = MemoryLimits { address_space: 8 * PAGE_BYTES, data: 4 * PAGE_BYTES, ..mm.limits() };
    mm.set_limits(limits);
    let writable = || Vma::anonymous(Protection::READ | Protection::WRITE, VmaFlags::empty());
    let readable = || Vma::anonymous(Protection::READ, VmaFlags::empty());
    assert!(is_errno(mm.map(Placement::Anywhere(0), 5 * PAGE_BYTES, writable()), errno::ENOMEM));
    let start = mm.map(Placement::Anywhere(0), 4 * PAGE_BYTES, writable()).unwrap();
    assert!(is_errno(mm.map(Placement::Anywhere(0), PAGE_BYTES, writable()), errno::ENOMEM));
    mm.map(Placement::Anywhere(0), 4 * PAGE_BYTES, readable()).unwrap();
    assert!(is_errno(mm.map(Placement::Anywhere(0), PAGE_BYTES, readable()), errno::ENOMEM));
    // What is replaced does not count.
    mm.map(Placement::Fixed(start), 4 * PAGE_BYTES, writable()).unwrap();
}

#[test]
fn the_number_of_mappings_is_bounded() {
    let mm = empty_mm();
    // Every other page can be written: each is a mapping, and so is each of the others.
    let pages = 65540;
    let writable = Protection::READ | Protection::WRITE;
    let vma = Vma::anonymous(Protection::READ, VmaFlags::empty());
    mm.map(Placement::Fixed(START), pages * PAGE_BYTES, vma.clone()).unwrap();
    let mut failed = None;
    for page in (1..pages).step_by(2) {
        let range = address(page)..address(page + 1);
        if let Err(failure) = mm.protect(range, writable, Extend::No) {
            failed = Some((page, failure));
            break;
        }
    }
    let (page, failure) = failed.unwrap();
    assert!(failure.is(errno::ENOMEM) && page == 65529, "{page}");
    mm.map(Placement::Anywhere(0), PAGE_BYTES, vma.clone()).unwrap();
    assert!(is_errno(mm.map(Placement::Anywhere(0), PAGE_BYTES, vma), errno::ENOMEM));
    // A mapping as a whole can still go.
    mm.unmap(START..START + PAGE_BYTES).unwrap();
}

#[test]
fn the_heap_grows_and_shrinks_within_its_limit() {
    let mm = empty_mm();
    mm.set_limits(MemoryLimits { data: 10 * PAGE_BYTES, ..mm.limits() });
    mm.set_heap_start(START + 100);
    assert_eq!(mm.set_break(0), START + 100);
    assert_eq!(mm.set_break(START + 5 * PAGE_BYTES), START + 5 * PAGE_BYTES);
    assert_eq!(mm.set_break(START + 50 * PAGE_BYTES), START + 5 * PAGE_BYTES);
    assert_eq!(mm.set_break(START + PAGE_BYTES + 1), START + PAGE_BYTES + 1);
    assert!(mm.find(START + PAGE_BYTES).is_some() && mm.find(START + 2 * PAGE_BYTES).is_none());
    // Something is in the way.
    let vma = Vma::anonymous(Protection::READ, VmaFlags::empty());
    mm.map(Placement::Fixed(START + 3 * PAGE_BYTES), PAGE_BYTES, vma).unwrap();
    assert_eq!(mm.set_break(START + 4 * PAGE_BYTES), START + PAGE_BYTES + 1);
}

#[test]
fn a_stack_grows_to_its_limit_and_no_nearer_to_others_than_the_gap() {
    let mm = empty_mm();
    mm.set_limits(MemoryLimits { stack: 4 << 20, ..mm.limits() });
    let top = START + (64 << 20);
    let stack = Vma::anonymous(Protection::READ | Protection::WRITE, VmaFlags::GROWS_DOWN);
    mm.map(Placement::Fixed(top - PAGE_BYTES), PAGE_BYTES, stack).unwrap();
    assert!(mm.handle_fault(top - (1 << 20)));
    assert!(mm.find(top - (1 << 20)).is_some_and(|(range, _)| range.end == top));
    assert!(!mm.handle_fault(top - (4 << 20) - 1));
    let below = Vma::anonymous(Protection::READ, VmaFlags::empty());
    mm.map(Placement::Fixed(top - (3 << 20)), PAGE_BYTES, below).unwrap();
    assert!(!mm.handle_fault(top - (2 << 20)));
    assert!(mm.handle_fault(top - (2 << 20) + PAGE_BYTES));
    assert!(!mm.handle_fault(START));
}

#[test]
fn forked_children_get_what_they_should() {
    let mm = empty_mm();
    let vma = Vma::anonymous(Protection::READ, VmaFlags::empty());
    mm.map(Placement::Fixed(START), 2 * PAGE_BYTES, vma).unwrap();
    let advice = Advice::Flags { set: VmaFlags::DONT_FORK, clear: VmaFlags::empty(), host: None };
    mm.advise(START..START + PAGE_BYTES, advice).unwrap();
    mm.lock_range(START..START + 2 * PAGE_BYTES).unwrap();
    let child = mm.fork().unwrap();
    assert!(child.find(START).is_none() && child.find(START + PAGE_BYTES).is_some());
    assert_eq!((child.totals().all, child.totals().locked), (PAGE_BYTES, 0));
    assert_eq!(mm.totals().locked, 2 * PAGE_BYTES);
}
