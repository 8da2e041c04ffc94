//! How records of a stream look. Behind each member, known by its name, stands what came next: the
//! bytes from the end of that member's value to the start of the next one's (`,"price":`), or the
//! record's end. Two such edges are kept, so that members that are left out or come in another
//! order now and then are still foreseen.
//!
//! An edge says nothing that its bytes do not: where they are found again, the member is the same.

use super::value::Op;
use crate::format::scan::wide;

/// A place between two values: behind the member of an id, or one of these.
pub(super) type Place = u32;
/// Before the record.
pub(super) const START: Place = 0;
/// Behind a member whose name is not kept.
pub(super) const UNNAMED: Place = 1;

/// The place behind the member of this id.
pub(super) fn behind(id: usize) -> Place {
    id as Place + 2
}

/// Longest bytes of an edge; longer ones are read anew each time.
const EDGE_BYTES_MAX: usize = 256;

/// What stands between two values, and what it leads to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Step {
    /// Where the next value begins, or what is behind the record.
    pub(super) at: usize,
    /// The place behind that value.
    pub(super) place: Place,
    /// The column that wants the value, where the operation has one.
    pub(super) column: u32,
    /// What is to be done with the value.
    pub(super) op: Op,
}

#[derive(Debug)]
struct Edge {
    /// The first sixteen bytes, and which of them count.
    head: u128,
    mask: u128,
    text: Vec<u8>,
    place: Place,
    column: u32,
    op: Op,
}

impl Default for Edge {
    /// An edge that nothing should fit, and that says so where something does.
    fn default() -> Self {
        Self {
            head: 0,
            mask: u128::MAX,
            text: vec![0; 16],
            place: UNNAMED,
            column: 0,
            op: Op::Doubt,
        }
    }
}

impl Edge {
    #[inline(always)]
    fn fits(&self, bytes: &[u8], at: usize) -> bool {
        match wide(bytes, at) {
            Some(head) if (head ^ self.head) & self.mask != 0 => false,
            Some(_) if self.text.len() <= 16 => true,
            _ => bytes.get(at..).is_some_and(|b| b.starts_with(&self.text)),
        }
    }

    #[inline(always)]
    fn step(&self, at: usize) -> Step {
        Step {
            at: at + self.text.len(),
            place: self.place,
            column: self.column,
            op: self.op,
        }
    }
}

#[derive(Debug, Default)]
struct Node {
    edges: [Edge; 2],
    /// The edge that fitted last.
    hot: usize,
}

/// What came behind each member.
#[derive(Debug)]
pub(super) struct Layouts {
    nodes: Vec<Node>,
}

impl Layouts {
    /// Layouts of records with members of at most so many names.
    pub(super) fn new(names_max: usize) -> Self {
        let nodes = (0..names_max + 2).map(|_| Node::default()).collect();
        Self { nodes }
    }

    /// What stands at `at`, if it is what stood there before.
    #[inline(always)]
    pub(super) fn foresee(&mut self, place: Place, bytes: &[u8], at: usize) -> Option<Step> {
        let node = &mut self.nodes[place as usize];
        let edge = &node.edges[node.hot & 1];
        if edge.fits(bytes, at) {
            return Some(edge.step(at));
        }
        let edge = &node.edges[!node.hot & 1];
        if edge.fits(bytes, at) {
            node.hot ^= 1;
            return Some(edge.step(at));
        }
        None
    }

    /// Keeps that `text` stood at `place` and led to `step`.
    pub(super) fn keep(&mut self, place: Place, text: &[u8], step: Step) {
        if text.is_empty() || text.len() > EDGE_BYTES_MAX {
            return;
        }
        let node = &mut self.nodes[place as usize];
        node.hot ^= 1;
        let edge = &mut node.edges[node.hot & 1];
        edge.text.clear();
        edge.text.extend_from_slice(text);
        let mut head = [0; 16];
        let count = text.len().min(16);
        head[..count].copy_from_slice(&text[..count]);
        edge.head = u128::from_le_bytes(head);
        edge.mask = u128::MAX >> (8 * (16 - count));
        (edge.place, edge.column, edge.op) = (step.place, step.column, step.op);
    }
}
