//! Stories of one LAN each, with desktop nodes that race: machines and processes that fail in the
//! middle, and cables that do.

use crate::rows::{desktop, live, meet, take, with_one};
use crate::scenario::{connect, is_heard, is_whole};
use crate::stories::star;
use crate::verdict::{Eaten, Ours, hold};
use crate::world::World;

/// Somebody who knows nothing of the others' plans cannot say which of ours will speak to a desktop
/// node: each seed hits another one.
fn victim(seed: u64, ours: usize) -> usize {
    (seed % ours as u64) as usize
}

/// What has been cut is connected again: ours by themselves, desktop nodes by their users. Who was
/// banned never is; the verdict tells of it.
fn reconnect(world: &mut World) {
    let ours = world.ours();
    for _ in 0..10 {
        world.run(3_000);
        for host in world.desktops() {
            if !is_heard(world, host) {
                let to = ours[world.random.place(ours.len())];
                connect(world, host, to);
            }
        }
        if world.run_until(12_000, |world| is_whole(world)) {
            return;
        }
    }
}

#[test]
fn one_of_ours_is_killed_in_the_middle_and_started_later() {
    hold("killed", Ours::Linked, Eaten::Whatever, |seed| {
        let (mut world, _) = with_one(seed, 3);
        let victim = victim(seed, 3);
        live(&mut world, 6, 1_000);
        world.run_steps(20 + seed * 7);
        world.cut_power(victim);
        live(&mut world, 10, 2_000);
        world.start(victim);
        reconnect(&mut world);
        live(&mut world, 6, 1_000);
        world
    });
}

#[test]
fn one_of_ours_stands_still_for_70_s_and_goes_on() {
    hold("paused", Ours::Linked, Eaten::Whatever, |seed| {
        let (mut world, _) = with_one(seed, 3);
        let victim = victim(seed, 3);
        live(&mut world, 6, 1_000);
        world.pause(victim);
        let end = world.now + 70_000;
        live(&mut world, 12, 5_000);
        world.run(end.saturating_sub(world.now));
        world.resume(victim);
        reconnect(&mut world);
        live(&mut world, 6, 1_000);
        world
    });
}

#[test]
fn one_of_ours_has_a_full_disk_and_is_started_again() {
    hold("disk full", Ours::Linked, Eaten::Whatever, |seed| {
        let (mut world, _) = with_one(seed, 3);
        let victim = victim(seed, 3);
        live(&mut world, 6, 1_000);
        world.fill_disk(victim);
        live(&mut world, 12, 2_000);
        world.stop(victim, false);
        world.hosts[victim].disk.set_broken(false);
        world.start(victim);
        reconnect(&mut world);
        live(&mut world, 6, 1_000);
        world
    });
}

#[test]
fn one_of_ours_is_started_again_in_the_middle() {
    hold("restarted", Ours::Linked, Eaten::Whatever, |seed| {
        let (mut world, _) = with_one(seed, 3);
        let victim = victim(seed, 3);
        for _ in 0..4 {
            live(&mut world, 4, 1_000);
            world.run_steps(20 + seed * 7);
            world.stop(victim, false);
            world.start(victim);
        }
        reconnect(&mut world);
        live(&mut world, 4, 1_000);
        world
    });
}

#[test]
fn a_desktop_stands_still_for_70_s_and_goes_on() {
    hold("desktop paused", Ours::Linked, Eaten::Whatever, |seed| {
        let (mut world, desktop) = with_one(seed, 2);
        live(&mut world, 6, 1_000);
        world.pause(desktop);
        let end = world.now + 70_000;
        for _ in 0..10 {
            take(&mut world, 0);
            take(&mut world, 1);
            world.run(5_000);
        }
        world.run(end.saturating_sub(world.now));
        world.resume(desktop);
        reconnect(&mut world);
        world
    });
}

/// A desktop node that is started again in the middle, with its file as it was, with an old one or
/// with none.
fn restarted(seed: u64, file: impl Fn(&mut World, usize)) -> World {
    let (mut world, desktop) = with_one(seed, 2);
    live(&mut world, 4, 1_000);
    world.run(5_000);
    file(&mut world, desktop);
    world.start(desktop);
    meet(&mut world, desktop, (seed % 2) as usize);
    reconnect(&mut world);
    live(&mut world, 4, 1_000);
    world
}

#[test]
fn a_desktop_is_started_again_and_has_its_file() {
    hold("desktop restarted", Ours::Linked, Eaten::Whatever, |seed| {
        restarted(seed, |world, desktop| {
            live(world, 4, 1_000);
            world.stop(desktop, seed % 2 == 0);
            live(world, 4, 1_000);
        })
    });
}

#[test]
fn a_desktop_is_started_again_and_begins_anew() {
    hold("desktop anew", Ours::Linked, Eaten::Whatever, |seed| {
        restarted(seed, |world, desktop| {
            live(world, 4, 1_000);
            world.stop(desktop, seed % 2 == 0);
            live(world, 4, 1_000);
            world.restore(desktop, None);
        })
    });
}

#[test]
fn a_desktop_is_restored_from_an_old_file() {
    hold("desktop old file", Ours::Linked, Eaten::Whatever, |seed| {
        restarted(seed, |world, desktop| {
            let old = world.file(desktop);
            live(world, 6, 1_000);
            world.stop(desktop, seed % 2 == 0);
            live(world, 4, 1_000);
            world.restore(desktop, Some(old));
        })
    });
}

#[test]
fn a_desktop_is_spoiled_twice_where_its_monitor_is_blind() {
    hold("blind spot", Ours::Linked, Eaten::Whatever, |seed| {
        let (mut world, desktop) = with_one(seed, 2);
        live(&mut world, 6, 1_000);
        let sound = |world: &mut World| world.desktop(desktop).damage().is_none();
        world.run_until(60_000, sound);
        // Its monitor's last look finds nothing.
        world.run(11_000);
        world.spoil(desktop);
        world.run_until(11_000, sound);
        world.spoil(desktop);
        live(&mut world, 2, 1_000);
        world
    });
}

#[test]
fn a_split_of_45_s_with_two_desktops_on_each_side() {
    hold("split", Ours::Linked, Eaten::Whatever, |seed| {
        let mut world = star(seed, 2);
        let desktops: Vec<usize> = (0..4).map(|_| desktop(&mut world)).collect();
        for (at, desktop) in desktops.iter().enumerate() {
            meet(&mut world, *desktop, at % 2);
        }
        if seed % 2 == 0 {
            connect(&mut world, desktops[0], desktops[2]);
            connect(&mut world, desktops[1], desktops[3]);
        }
        world.run(8_000);
        live(&mut world, 3, 1_000);
        world.net.islands = vec![0, 1, 0, 1, 0, 1];
        let end = world.now + 45_000;
        live(&mut world, 10, 6_000);
        world.run(end.saturating_sub(world.now));
        world.net.islands.fill(0);
        reconnect(&mut world);
        world
    });
}
