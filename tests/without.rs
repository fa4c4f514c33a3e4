//! Says at the end what the tests of this run went without. Cargo runs the test programs by their
//! names, and of those this is the last.

// The tests use the rest of it.
#[allow(dead_code)]
mod needs;

fn main() {
    let passed_over = needs::passed_over();
    if passed_over.is_empty() {
        println!("\nno test was passed over");
    }
    for (why, count) in passed_over {
        println!("\npassed over: {count} tests {why}");
    }
}
