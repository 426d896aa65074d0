//! The tree of all prompts' blocks: where prompts begin alike they share a path from the root.
//!
//! A block stands for the same tokens wherever its identity is met, but what a server keeps of it depends on everything
//! before it. So a place in this tree, and not an identity, is what can be used again.

use crate::{Trace, schedule::Schedule};
use hashbrown::{HashMap, HashSet};

/// The tree. Its nodes are numbered in the order in which they are first met.
pub(crate) struct Tree {
    /// The node of each block, in the order of [`Trace::all_blocks`].
    nodes: Vec<usize>,
    /// How many requests pass each node.
    pub(crate) uses: Vec<u64>,
    /// Different identities.
    pub(crate) identities: u64,
    /// Blocks whose identity was met in an earlier request, wherever in the prompt.
    pub(crate) seen_before: u64,
}

/// What stands for the root, which has no block.
const ROOT: usize = usize::MAX;

impl Tree {
    pub(crate) fn of(trace: &Trace, schedule: &Schedule) -> Self {
        let mut found: HashMap<(usize, u64), usize> = HashMap::new();
        let mut identities: HashSet<u64> = HashSet::new();
        let mut tree =
            Self { nodes: vec![ROOT; trace.all_blocks().len()], uses: Vec::new(), identities: 0, seen_before: 0 };
        for placed in &schedule.order {
            let turn = &trace.turns()[placed.turn];
            let blocks = trace.blocks(turn);
            // Those of the request itself are not from before.
            tree.seen_before += blocks.iter().filter(|block| identities.contains(*block)).count() as u64;
            let mut parent = ROOT;
            for (block, place) in blocks.iter().zip(turn.blocks.clone()) {
                let next = tree.uses.len();
                let node = *found.entry((parent, *block)).or_insert(next);
                if node == next {
                    tree.uses.push(0);
                }
                tree.uses[node] += 1;
                tree.nodes[place] = node;
                parent = node;
            }
            identities.extend(blocks);
        }
        tree.identities = identities.len() as u64;
        tree
    }

    /// The path of a turn whose blocks lie at `blocks`.
    pub(crate) fn path(&self, blocks: std::ops::Range<usize>) -> &[usize] {
        &self.nodes[blocks]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::testing::trace;

    #[test]
    fn prompts_share_nodes_as_far_as_they_begin_alike() {
        let trace = trace(&[(0, 30, 1, &[1, 2, 3]), (1, 30, 1, &[1, 2, 9]), (2, 20, 1, &[2, 3])]);
        let tree = Tree::of(&trace, &Schedule::of(&trace));
        assert_eq!(tree.path(0..3), [0, 1, 2]);
        assert_eq!(tree.path(3..6), [0, 1, 3]);
        assert_eq!(tree.path(6..8), [4, 5], "the same identities after another beginning");
        assert_eq!(tree.uses, [2, 2, 1, 1, 1, 1]);
        assert_eq!((tree.identities, tree.seen_before), (4, 4));
    }

    #[test]
    fn a_block_that_its_own_prompt_repeats_is_not_from_before() {
        let trace = trace(&[(0, 30, 1, &[1, 1, 1])]);
        let tree = Tree::of(&trace, &Schedule::of(&trace));
        assert_eq!((tree.seen_before, tree.uses.len()), (0, 3));
    }
}
