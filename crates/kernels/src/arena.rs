//! One allocation, shared by threads that write disjoint parts of it.
//!
//! The threads of a training step split every buffer between them, in a different way in every phase. [`Arena`] hands
//! out the parts and keeps a list of those in use: asking for a part that overlaps one in use, where either is for
//! writing, panics with both ranges. A wrong split is thus a failing test and never a data race.

use std::marker::PhantomData;
use std::ops::{Deref, DerefMut, Range};
use std::ptr::NonNull;
use std::sync::Mutex;

/// A rectangle of elements: `rows` rows, `stride` apart, of which the columns `columns` are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Region {
    start: usize,
    rows: usize,
    stride: usize,
    first: usize,
    end: usize,
}

impl Region {
    fn contiguous(range: &Range<usize>) -> Region {
        Region { start: range.start, rows: 1, stride: range.len(), first: 0, end: range.len() }
    }

    fn is_empty(&self) -> bool {
        self.rows == 0 || self.first >= self.end
    }

    /// First element, and one past the last, even if no column is meant. Saturating: what would overflow is beyond
    /// every arena.
    fn interval(&self) -> (usize, usize) {
        if self.rows == 0 {
            return (self.start, self.start);
        }
        let last_row = self.start.saturating_add((self.rows - 1).saturating_mul(self.stride));
        (self.start.saturating_add(self.first), last_row.saturating_add(self.end))
    }

    fn overlaps(&self, other: &Region) -> bool {
        let ((a0, a1), (b0, b1)) = (self.interval(), other.interval());
        if self.is_empty() || other.is_empty() || a0 >= b1 || b0 >= a1 {
            return false;
        }
        // Two column ranges of the same matrix interleave in memory without touching, whichever rows they have.
        let same_matrix = self.stride == other.stride && self.start.abs_diff(other.start).is_multiple_of(self.stride);
        !same_matrix || (self.first < other.end && other.first < self.end)
    }
}

/// A borrow that is in use.
#[derive(Clone, Copy, Debug)]
struct Borrow {
    region: Region,
    writes: bool,
    id: u64,
}

/// A slice whose disjoint parts several threads may write at a time; see the module's text.
pub struct Arena<'a, T> {
    /// Made from a shared slice unless `writable`: then nobody may write through it.
    data: NonNull<T>,
    len: usize,
    writable: bool,
    borrows: Mutex<Borrows>,
    owner: PhantomData<&'a mut [T]>,
}

struct Borrows {
    active: Vec<Borrow>,
    next: u64,
}

// SAFETY: elements are reached only through parts that the list of borrows keeps disjoint (or read-only), and `T: Send`
// and `T: Sync` make those fit to be used from any thread.
unsafe impl<T: Send + Sync> Sync for Arena<'_, T> {}
// SAFETY: as above; the arena itself is a borrow of a slice, exclusive or, where it only reads, shared.
unsafe impl<T: Send + Sync> Send for Arena<'_, T> {}

/// Borrows in use at one time that need no further allocation: far more than threads times buffers of a kernel.
const EXPECTED_BORROWS: usize = 4096;

impl<'a, T> Arena<'a, T> {
    /// Takes `data` over for as long as the arena lives.
    pub fn new(data: &'a mut [T]) -> Self {
        Arena::over(NonNull::from(data), true)
    }

    /// Parts of `data` to read alone: an evaluation shares the parameters of a network with everybody who has them.
    /// [`Arena::write`] and [`Arena::write_columns`] panic.
    pub fn shared(data: &'a [T]) -> Self {
        Arena::over(NonNull::from(data), false)
    }

    fn over(data: NonNull<[T]>, writable: bool) -> Self {
        let borrows = Borrows { active: Vec::with_capacity(EXPECTED_BORROWS), next: 0 };
        Arena { data: data.cast(), len: data.len(), writable, borrows: Mutex::new(borrows), owner: PhantomData }
    }

    /// Elements in all.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether the arena has no element.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Where element `index` is, for [`crate::Prefetch`]; the address is not to be read.
    pub fn address(&self, index: usize) -> *const T {
        self.data.as_ptr().cast_const().wrapping_add(index)
    }

    /// A part to read.
    ///
    /// # Panics
    /// If it is out of bounds or overlaps a part that is being written.
    pub fn read(&self, range: Range<usize>) -> Read<'_, T> {
        let part = self.part(&range);
        let guard = self.borrow(Region::contiguous(&range), false);
        Read { part, _guard: guard, owner: PhantomData }
    }

    /// A part to write.
    ///
    /// # Panics
    /// If it is out of bounds or overlaps any part in use, and if the arena is a [`shared`](Arena::shared) one.
    pub fn write(&self, range: Range<usize>) -> Write<'_, T> {
        let part = self.part(&range);
        let guard = self.borrow(Region::contiguous(&range), true);
        Write { part, _guard: guard, owner: PhantomData }
    }

    /// The columns `columns` of the row-major matrix of `rows` rows, `stride` apart, that begins at `start`, to write.
    /// Several threads may hold disjoint column ranges of one matrix.
    ///
    /// # Panics
    /// Like [`Arena::write`], even where there is no column; and if a row is shorter than the columns.
    pub fn write_columns(
        &self,
        start: usize,
        rows: usize,
        stride: usize,
        columns: Range<usize>,
    ) -> WriteColumns<'_, T> {
        assert!(columns.start <= columns.end && columns.end <= stride, "columns {columns:?} of a row of {stride}");
        let region = Region { start, rows, stride, first: columns.start, end: columns.end };
        let (_, end) = region.interval();
        assert!(end <= self.len, "matrix at {start}, {rows} rows of {stride}, ends beyond the arena of {}", self.len);
        let guard = self.borrow(region, true);
        // Wrapping: a matrix without rows may end before its first column.
        let first = self.data.as_ptr().wrapping_add(start).wrapping_add(columns.start);
        // SAFETY: every row's columns are in bounds and borrowed for writing until the guard is dropped.
        let part = unsafe { Columns::from_raw(first, rows, stride, columns.len()) };
        WriteColumns { part, _guard: guard }
    }

    /// Where a part lies; whether it may be read or written, `borrow` decides.
    fn part(&self, range: &Range<usize>) -> NonNull<[T]> {
        assert!(range.start <= range.end && range.end <= self.len, "part {range:?} of an arena of {}", self.len);
        // SAFETY: in bounds (asserted).
        NonNull::slice_from_raw_parts(unsafe { self.data.add(range.start) }, range.len())
    }

    fn borrow(&self, region: Region, writes: bool) -> Guard<'_> {
        assert!(self.writable || !writes, "part {region:?} cannot be written: this arena shares a slice to read");
        let mut borrows = lock(&self.borrows);
        let clash = borrows.active.iter().find(|b| (b.writes || writes) && b.region.overlaps(&region)).copied();
        if let Some(other) = clash {
            drop(borrows);
            panic!(
                "part {region:?} (writes: {writes}) overlaps {:?} (writes: {}), which is in use",
                other.region, other.writes
            );
        }
        let id = borrows.next;
        borrows.next += 1;
        borrows.active.push(Borrow { region, writes, id });
        Guard { arena: &self.borrows, id }
    }
}

/// The list is consistent even if a thread panicked while holding it.
fn lock(borrows: &Mutex<Borrows>) -> std::sync::MutexGuard<'_, Borrows> {
    borrows.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Ends a borrow when dropped.
struct Guard<'b> {
    arena: &'b Mutex<Borrows>,
    id: u64,
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        let mut borrows = lock(self.arena);
        let at = borrows.active.iter().position(|b| b.id == self.id).expect("the borrow is in the list");
        borrows.active.swap_remove(at);
    }
}

// The guards hold pointers, no references: a reference in an argument of a function counts as used until the function
// returns, but the part is free for others as soon as the guard is dropped.

/// A part being read.
pub struct Read<'b, T> {
    part: NonNull<[T]>,
    _guard: Guard<'b>,
    owner: PhantomData<&'b [T]>,
}

impl<T> Deref for Read<'_, T> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        // SAFETY: in bounds, and nobody writes it while the guard lives.
        unsafe { self.part.as_ref() }
    }
}

/// A part being written.
pub struct Write<'b, T> {
    part: NonNull<[T]>,
    _guard: Guard<'b>,
    owner: PhantomData<&'b mut [T]>,
}

impl<T> Deref for Write<'_, T> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        // SAFETY: in bounds, and nobody else reads or writes it while the guard lives.
        unsafe { self.part.as_ref() }
    }
}

impl<T> DerefMut for Write<'_, T> {
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as above.
        unsafe { self.part.as_mut() }
    }
}

/// Columns of a matrix being written.
pub struct WriteColumns<'b, T> {
    part: Columns<'b, T>,
    _guard: Guard<'b>,
}

impl<T> WriteColumns<'_, T> {
    /// The columns, for no longer than this guard is borrowed (which a `DerefMut` could not ensure: its target can be
    /// moved out).
    pub fn columns(&mut self) -> Columns<'_, T> {
        Columns { ..self.part }
    }
}

/// Exclusive access to some adjacent columns of a row-major matrix.
pub struct Columns<'a, T> {
    data: *mut T,
    rows: usize,
    stride: usize,
    columns: usize,
    owner: PhantomData<&'a mut [T]>,
}

impl<'a, T> Columns<'a, T> {
    /// A whole slice as a matrix of rows of `stride` elements, of which the first `columns` are meant.
    ///
    /// # Panics
    /// If a row has fewer than `columns` elements, or the slice is not whole rows.
    pub fn new(data: &'a mut [T], stride: usize, columns: usize) -> Self {
        assert!(columns <= stride && (stride == 0 || data.len().is_multiple_of(stride)), "rows of {stride} elements");
        let rows = data.len().checked_div(stride).unwrap_or(0);
        Columns { data: data.as_mut_ptr(), rows, stride, columns, owner: PhantomData }
    }

    /// # Safety
    /// For every row, `columns` elements from `data + row * stride` on are valid and exclusively the caller's for `'a`.
    unsafe fn from_raw(data: *mut T, rows: usize, stride: usize, columns: usize) -> Self {
        Columns { data, rows, stride, columns, owner: PhantomData }
    }

    /// Rows of the matrix.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Columns that are held.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Elements from one row to the next.
    pub fn stride(&self) -> usize {
        self.stride
    }

    /// The held columns of one row.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn row_mut(&mut self, row: usize) -> &mut [T] {
        assert!(row < self.rows, "row {row} of {}", self.rows);
        // SAFETY: in bounds by the check; exclusive by the constructor's promise and `&mut self`.
        unsafe { std::slice::from_raw_parts_mut(self.data.add(row * self.stride), self.columns) }
    }

    /// The first held element, to read; rows are [`Columns::stride`] apart.
    pub(crate) fn as_ptr(&self) -> *const T {
        self.data
    }

    /// The first held element; rows are [`Columns::stride`] apart.
    pub(crate) fn as_mut_ptr(&mut self) -> *mut T {
        self.data
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn disjoint_parts_can_be_held_together() {
        let mut data = vec![0.0_f32; 64];
        let arena = Arena::new(&mut data);
        let mut a = arena.write(0..16);
        let mut b = arena.write(16..32);
        let c = arena.read(32..64);
        let d = arena.read(40..50);
        a[0] = 1.0;
        b[0] = 2.0;
        assert_eq!((a[0], b[0], c[0], d[0]), (1.0, 2.0, 0.0, 0.0));
    }

    #[test]
    #[should_panic(expected = "which is in use")]
    fn two_writers_of_one_element_panic() {
        let mut data = vec![0.0_f32; 64];
        let arena = Arena::new(&mut data);
        let _a = arena.write(0..17);
        let _b = arena.write(16..32);
    }

    #[test]
    #[should_panic(expected = "which is in use")]
    fn a_reader_of_what_is_being_written_panics() {
        let mut data = vec![0.0_f32; 64];
        let arena = Arena::new(&mut data);
        let _a = arena.write_columns(0, 4, 16, 0..8);
        let _b = arena.read(0..4);
    }

    #[test]
    fn column_ranges_of_one_matrix_are_disjoint_if_their_columns_are() {
        let mut data = vec![0.0_f32; 64];
        {
            let arena = Arena::new(&mut data);
            let mut left = arena.write_columns(0, 4, 16, 0..8);
            let mut right = arena.write_columns(0, 4, 16, 8..16);
            for row in 0..4 {
                left.columns().row_mut(row).fill(1.0);
                right.columns().row_mut(row).fill(2.0);
            }
        }
        assert_eq!(data.iter().sum::<f32>(), 96.0);
    }

    #[test]
    fn column_ranges_of_other_rows_are_disjoint_too() {
        let mut data = vec![0.0_f32; 64];
        {
            let arena = Arena::new(&mut data);
            let mut left = arena.write_columns(0, 4, 16, 0..8);
            let mut right = arena.write_columns(16, 2, 16, 8..16);
            let mut below = arena.write_columns(48, 1, 16, 8..16);
            (0..4).for_each(|row| left.columns().row_mut(row).fill(1.0));
            (0..2).for_each(|row| right.columns().row_mut(row).fill(2.0));
            below.columns().row_mut(0).fill(4.0);
        }
        assert_eq!(data.iter().sum::<f32>(), 32.0 + 32.0 + 32.0);
    }

    #[test]
    #[should_panic(expected = "which is in use")]
    fn rows_of_columns_that_another_holds_panic() {
        let mut data = vec![0.0_f32; 64];
        let arena = Arena::new(&mut data);
        let _a = arena.write_columns(0, 4, 16, 0..9);
        let _b = arena.write_columns(16, 1, 16, 8..16);
    }

    #[test]
    #[should_panic(expected = "which is in use")]
    fn column_ranges_that_share_a_column_panic() {
        let mut data = vec![0.0_f32; 64];
        let arena = Arena::new(&mut data);
        let _a = arena.write_columns(0, 4, 16, 0..9);
        let _b = arena.write_columns(0, 4, 16, 8..16);
    }

    #[test]
    #[should_panic(expected = "ends beyond the arena")]
    fn a_matrix_larger_than_memory_panics() {
        let mut data = vec![0.0_f32; 64];
        let arena = Arena::new(&mut data);
        let _a = arena.write_columns(0, (1 << 62) + 1, 4, 0..1);
    }

    #[test]
    fn a_shared_slice_is_read_by_many() {
        let data = [1.0_f32, 2.0, 3.0];
        let arenas = [Arena::shared(&data), Arena::shared(&data)];
        let parts = [arenas[0].read(0..3), arenas[0].read(1..3), arenas[1].read(2..3)];
        assert_eq!(parts.map(|part| part.iter().sum::<f32>()), [6.0, 5.0, 3.0]);
        assert_eq!((arenas[0].len(), arenas[0].address(1)), (3, &raw const data[1]));
    }

    #[test]
    #[should_panic(expected = "cannot be written")]
    fn a_part_of_a_shared_slice_to_write_panics() {
        Arena::shared(&[1.0_f32]).write(0..1)[0] = 2.0;
    }

    #[test]
    #[should_panic(expected = "cannot be written")]
    fn columns_of_a_shared_slice_to_write_panic() {
        Arena::shared(&[1.0_f32]).write_columns(0, 1, 1, 0..1).columns().row_mut(0)[0] = 2.0;
    }

    #[test]
    fn an_empty_part_overlaps_nothing() {
        let mut data = vec![0.0_f32; 64];
        let arena = Arena::new(&mut data);
        let _a = arena.write(0..64);
        let _b = arena.write(7..7);
    }

    #[test]
    fn a_part_is_free_again_after_its_guard_is_gone() {
        let mut data = vec![0.0_f32; 8];
        let arena = Arena::new(&mut data);
        drop(arena.write(0..8));
        drop(arena.read(0..8));
        drop(arena.write_columns(0, 2, 4, 0..4));
    }

    /// A reference among a function's arguments would be alone until the function returns, even if dropped before.
    #[test]
    fn a_part_may_be_written_where_its_guard_has_just_ended() {
        fn after_reading(arena: &Arena<'_, f32>, guard: Read<'_, f32>) {
            drop(guard);
            arena.write(0..8).fill(1.0);
        }
        fn after_writing(arena: &Arena<'_, f32>, guard: Write<'_, f32>) {
            drop(guard);
            arena.write(0..8).fill(2.0);
        }
        let mut data = vec![0.0_f32; 8];
        let arena = Arena::new(&mut data);
        after_reading(&arena, arena.read(0..8));
        after_writing(&arena, arena.write(0..8));
        assert_eq!(arena.read(0..8).iter().sum::<f32>(), 16.0);
    }

    #[test]
    #[should_panic(expected = "ends beyond the arena")]
    fn a_matrix_beyond_the_arena_panics_even_without_columns() {
        let mut data = vec![0.0_f32; 64];
        let arena = Arena::new(&mut data);
        let mut none = arena.write_columns(0, 1000, 16, 3..3);
        assert!(none.columns().row_mut(999).is_empty());
    }
}
