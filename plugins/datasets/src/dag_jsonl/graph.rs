//! Which session begins which: names become numbers, and what is no forest is refused.

use crate::conversation::{Origin, Problem, shortened};
use inferometer_plugin_sdk::types::{Branch, Result};
use std::collections::HashMap;

/// That a session begins another one.
pub(super) struct Link {
    /// The name of the other one.
    pub(super) child: String,
    /// Where in the record it stands.
    pub(super) place: String,
    /// As in [`Branch`].
    pub(super) after_turn: u32,
    /// As in [`Branch`].
    pub(super) join_turn: u32,
    /// As in [`Branch`].
    pub(super) flags: u32,
}

/// The sessions of a file, in its order.
#[derive(Default)]
pub(super) struct Graph {
    nodes: Vec<Node>,
    by_id: HashMap<String, usize>,
}

struct Node {
    id: String,
    origin: Origin,
    links: Vec<Link>,
}

/// Sessions in the order in which they are numbered.
pub(super) struct Order {
    /// The number of each session of the file.
    pub(super) numbers: Vec<usize>,
    /// How many of them others begin.
    pub(super) begun: u64,
    /// Sessions by their place in the file, and what they begin by number.
    pub(super) branches: Vec<(usize, Branch)>,
}

impl Graph {
    /// Adds the next session of the file.
    ///
    /// # Errors
    /// When an earlier one is called so.
    pub(super) fn add(&mut self, id: String, origin: Origin, links: Vec<Link>) -> Result<(), Problem> {
        if self.by_id.insert(id.clone(), self.nodes.len()).is_some() {
            let reason = format!("`{}` is the name of an earlier session too; give each its own", shortened(&id));
            return Err(Problem::new("session_id", reason));
        }
        self.nodes.push(Node { id, origin, links });
        Ok(())
    }

    /// Numbers the sessions.
    ///
    /// # Errors
    /// Names the record in which a session begins one that is not there, or that is begun twice, or that begins itself by
    /// way of others.
    pub(super) fn resolve(&self) -> Result<Order, (Origin, Problem)> {
        let parents = self.parents()?;
        self.refuse_circles(&parents)?;
        let roots = parents.iter().filter(|parent| parent.is_none()).count();
        let (mut next_root, mut next_begun) = (0, roots);
        let number = |parent: &Option<usize>| {
            let next = if parent.is_none() { &mut next_root } else { &mut next_begun };
            *next += 1;
            *next - 1
        };
        let numbers: Vec<usize> = parents.iter().map(number).collect();
        let begins = |node: usize, link: &Link| {
            let session = numbers[self.by_id[&link.child]] as u64;
            let branch =
                Branch { join_turn: link.join_turn, flags: link.flags, ..Branch::new(session, link.after_turn) };
            (node, branch)
        };
        let of_node = |(n, node): (usize, &Node)| node.links.iter().map(|link| begins(n, link)).collect::<Vec<_>>();
        let branches = self.nodes.iter().enumerate().flat_map(of_node).collect();
        Ok(Order { begun: (parents.len() - roots) as u64, numbers, branches })
    }

    /// Which session begins each.
    fn parents(&self) -> Result<Vec<Option<usize>>, (Origin, Problem)> {
        let mut parents: Vec<Option<usize>> = vec![None; self.nodes.len()];
        for (n, node) in self.nodes.iter().enumerate() {
            for link in &node.links {
                let refused = |reason: String| (node.origin, Problem::new(&link.place, reason));
                let child = shortened(&link.child);
                let Some(of_child) = self.by_id.get(&link.child) else {
                    return Err(refused(format!("`{child}` is the name of no session in the file; check it")));
                };
                if let Some(parent) = parents[*of_child].replace(n) {
                    let first = shortened(&self.nodes[parent].id);
                    let reason = format!("`{child}` is begun twice, by `{first}` before; let one session begin it");
                    return Err(refused(reason));
                }
            }
        }
        Ok(parents)
    }

    /// As each session is begun once at most, one that has no beginning stands in a circle, or is begun from one.
    fn refuse_circles(&self, parents: &[Option<usize>]) -> Result<(), (Origin, Problem)> {
        // Sessions that are known to have a beginning, and the walk on which each was first met.
        let mut walks: Vec<usize> = vec![0; parents.len()];
        for start in 0..parents.len() {
            let mut at = start;
            while walks[at] == 0 {
                walks[at] = start + 1;
                let Some(parent) = parents[at] else { break };
                at = parent;
                if walks[at] == start + 1 {
                    return Err(self.circle(parents, at));
                }
            }
        }
        Ok(())
    }

    fn circle(&self, parents: &[Option<usize>], start: usize) -> (Origin, Problem) {
        let mut ids = vec![shortened(&self.nodes[start].id)];
        let mut at = start;
        while let Some(parent) = parents[at].filter(|_| ids.len() < 8) {
            ids.push(shortened(&self.nodes[parent].id));
            at = parent;
            if at == start {
                break;
            }
        }
        ids.reverse();
        let reason = format!("begins itself: {}; take one of these links out", ids.join(" → "));
        (self.nodes[start].origin, Problem::new("session_id", reason))
    }
}
