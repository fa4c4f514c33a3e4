//! The walk-through of the README, played from the page: on nodes of ours alone, and on desktop nodes
//! with one of ours between them.

use std::collections::BTreeMap;

use crate::harness::{LIMIT, wait_for};
use crate::nodes::{Node, Place, desktop, python};
use crate::page::{self, Page};

/// A node of the page, by the port that it has there.
struct Actor {
    /// Where a node of ours is started again; `None` of a desktop node.
    place: Option<Place>,
    node: Option<Node>,
    port: u16,
}

impl Actor {
    fn ours() -> Actor {
        let place = Place::new();
        let node = place.start(&[]);
        let port = node.port;
        Actor {
            place: Some(place),
            node: Some(node),
            port,
        }
    }

    fn desktop(python: &str, name: &str) -> Actor {
        let node = desktop(python, name);
        let port = node.port;
        Actor {
            place: None,
            node: Some(node),
            port,
        }
    }

    fn node(&mut self) -> &mut Node {
        self.node.as_mut().expect("it runs")
    }

    fn start(&mut self) {
        let place = self
            .place
            .as_ref()
            .expect("only a node of ours is started again");
        self.node = Some(place.start(&[]));
    }
}

/// The nodes of a table.
struct Scene(BTreeMap<String, Actor>);

impl Scene {
    /// What the page says, with the ports that the nodes have here.
    fn here(&self, text: &str) -> String {
        page::with_ports(text, |there| Some(self.0.get(there)?.port))
    }

    fn play(&mut self, row: &[&str]) {
        let [name, typed, says, soon] = row[..] else {
            panic!("{row:?} has not four cells")
        };
        println!("{row:?}");
        let says: Vec<String> = page::spans(says)
            .iter()
            .map(|text| self.here(text))
            .collect();
        let typed: Vec<&str> = page::spans(typed);
        let typed: Vec<String> = typed.iter().map(|text| self.here(text)).collect();
        let actor = self.0.get_mut(name).expect("a node of the table");
        let start = format!("blx {}", actor.port);
        match typed.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            ["10"] => {
                actor.node().exit();
                actor.node = None;
            }
            ["kill -9", again] if again == start => {
                let before = actor.node().status();
                actor.node().kill();
                actor.start();
                let after = actor.node().status();
                assert_eq!((before.tip, before.key), (after.tip, after.key));
            }
            [again] if again == start => actor.start(),
            ref lines => {
                let node = actor.node();
                let before = node.said();
                node.enter(lines);
                for text in &says {
                    node.wait_for_count(text, before.matches(text.as_str()).count() + 1);
                }
            }
        }
        match page::spans(soon)[..] {
            [] => {}
            [text] if text.contains(": ") => self.wait_for_all(text),
            [text] => self.wait_for_one(text),
            _ => panic!("{soon:?} is more than one thing"),
        }
    }

    /// Until key 9 says it in all that run.
    fn wait_for_all(&mut self, text: &str) {
        for node in self.0.values_mut().filter_map(|actor| actor.node.as_mut()) {
            node.wait_for_status(text, |status| status.lines.iter().any(|line| line == text));
        }
    }

    /// Until one of them has said it.
    fn wait_for_one(&self, text: &str) {
        let nodes = || self.0.values().filter_map(|actor| actor.node.as_ref());
        let told = || nodes().any(|node| node.said().contains(text)).then_some(());
        assert!(wait_for(LIMIT, told).is_some(), "none says {text:?}");
    }
}

/// Plays a table of the walk-through on nodes that are made by the ports that they have there.
fn play(table: usize, mut actor: impl FnMut(&str) -> Actor) {
    let page = Page::read();
    let tables = page::tables(&page.section("Walk-through"));
    assert_eq!(tables.len(), 2, "{tables:?}");
    let rows = &tables[table];
    let mut scene = Scene(BTreeMap::new());
    for row in rows {
        let name = row[0].to_owned();
        scene.0.entry(name).or_insert_with_key(|name| actor(name));
    }
    for row in rows {
        scene.play(row);
    }
}

#[test]
fn the_walk_through_of_the_page_on_nodes_of_ours() {
    play(0, |_| Actor::ours());
}

#[test]
fn the_walk_through_of_the_page_with_desktop_nodes_for_the_last_two() {
    let Some(python) = python() else { return };
    play(0, |name| match name {
        "6000" => Actor::ours(),
        name => Actor::desktop(&python, &format!("desktop {name}")),
    });
}

#[test]
fn the_walk_through_of_the_page_with_one_desktop_node() {
    let Some(python) = python() else { return };
    play(0, |name| match name {
        "6002" => Actor::desktop(&python, "desktop 6002"),
        _ => Actor::ours(),
    });
}

#[test]
fn the_split_lan_of_the_page() {
    play(1, |_| Actor::ours());
}
