//! Who may do what: the roles of people, the scopes of programs' tokens.

use super::words::words;

words! {
    /// What a person may do; each role may also do what the one before it may.
    pub enum Role {
        /// Sees everything, changes nothing.
        Viewer = "viewer",
        /// Acts on tasks and tickets.
        Operator = "operator",
        /// Also manages people, tokens and settings.
        Admin = "admin",
    }
}

words! {
    /// What a program's token may do. Scopes don't contain one another.
    pub enum Scope {
        /// Create and start tasks.
        Produce = "produce",
        /// Claim tasks, heartbeat, finish them.
        Work = "work",
        /// Read everything.
        Read = "read",
        /// Retry, requeue, cancel, rerun.
        Operate = "operate",
        /// File problem reports and error reports.
        Report = "report",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_higher_role_may_do_what_a_lower_one_may() {
        assert!(Role::Admin > Role::Operator && Role::Operator > Role::Viewer);
    }
}
