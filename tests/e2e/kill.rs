//! Ends without warning, torn files and full disks: what was confirmed is there afterwards.
