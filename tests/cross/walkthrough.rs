//! The walk-through of the README by an emulated node, a native one and a desktop node.

use serde_json::Value;

use crate::files::run;
use crate::harness::{Status, until};
use crate::nodes::{Node, Place, desktop, python, wait_in_step};
use crate::pairs;

/// As its user does it.
fn connect(node: &mut Node, port: u16) {
    let before = node.status().peers;
    let done = format!("✅ connected to localhost:{port}");
    node.ask(&["6", "localhost", &port.to_string()], &done);
    let more = |status: &Status| status.peers > before;
    node.wait_for_status("one peer more", more);
}

#[test]
fn three_kinds_of_node_play_the_walk_through_and_nothing_is_lost() {
    let Some(python) = python() else { return };
    for programs in pairs() {
        let places = [Place::new(), Place::new()];
        let start = |who: usize| {
            let program: &crate::Program = &programs[who];
            program.launch(&places[who]).start()
        };
        // 6000, 6001 and 6002.
        let (mut a, mut b) = (start(0), start(1));
        let mut c = desktop(&python, "desktop");
        for node in [&mut b, &mut c] {
            connect(node, a.port);
        }
        a.wait_for_peers(2);

        a.request("laptop-001");
        wait_in_step(&mut [&mut a, &mut b, &mut c], 2, 1, 0);
        c.release("laptop-001");
        let states = wait_in_step(&mut [&mut a, &mut b, &mut c], 3, 0, 1);
        // The desktop node has made blocks of its own of what it heard.
        assert_eq!(states[0].tip, states[1].tip);

        a.exit();
        for node in [&mut b, &mut c] {
            node.wait_for_peers(0);
        }
        b.request_all(&["cam-1", "cam-2", "tripod"]);
        c.request("drill");

        let mut a = start(0);
        // A desktop node dials nobody again by itself.
        connect(&mut c, a.port);
        let four = |status: &Status| (status.reserved, status.available) == (4, 1);
        for node in [&mut a, &mut b, &mut c] {
            node.wait_for_status("four items", four);
            node.assert_reserved(&["cam-1", "cam-2", "drill", "tripod"]);
            node.assert_available(&["laptop-001"]);
        }
        // The desktop node may be helped with an empty block, whenever that comes.
        let last = until(|| {
            let last = [&mut a, &mut b].map(|node| node.status());
            match last[0].tip == last[1].tip {
                true => Ok(last),
                false => Err(format!("not one tip: {last:?}")),
            }
        });
        for node in [&mut a, &mut b, &mut c] {
            node.kill();
        }
        for (who, last) in last.iter().enumerate() {
            let text = run(&programs[who], &["export"], places[who].directory());
            let chain: Vec<Value> = serde_json::from_str(&text).expect("blocks");
            let hash = |blocks: usize| chain[blocks - 1]["hash"].as_str();
            assert_eq!(
                hash(last.blocks),
                Some(last.tip.as_str()),
                "it is all there"
            );
            let mut node = start(who);
            let now = node.status();
            assert_eq!(now.blocks, chain.len());
            assert_eq!(hash(now.blocks), Some(now.tip.as_str()));
            assert_eq!(now.key, last.key);
            node.assert_reserved(&["cam-1", "cam-2", "drill", "tripod"]);
            node.exit();
        }
    }
}
