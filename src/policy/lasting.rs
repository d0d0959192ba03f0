//! Accounts keep their places for as long as the server runs: everything else knows them by these. What a reload brings gets
//! the places that its names have had, new names the next ones; a name that has gone keeps its place, and nobody is there
//! until it comes back. Called by whoever reloads; pure.

use super::settings::{Account, Auth};
use super::shares::Shares;
use crate::base::limits::ACCOUNTS_MAX;
use std::collections::BTreeMap;
use std::sync::Arc;

impl Account {
    /// One that has gone, or has yet to come: nobody is in it.
    pub fn gone(name: &str) -> Account {
        Account { gone: true, ..Account::named(name) }
    }
}

impl Auth {
    /// The accounts that there are now, with their places.
    pub fn present(&self) -> impl Iterator<Item = (usize, &Account)> {
        self.accounts.iter().enumerate().filter(|(_, a)| !a.gone)
    }

    /// Gives the accounts the places that their names have among those that are `known`.
    ///
    /// # Errors
    /// There have been too many names.
    pub fn keep_places(&mut self, known: &[Account]) -> Result<(), String> {
        let mut of: BTreeMap<&str, usize> = known.iter().map(|a| a.name.as_str()).zip(0..).collect();
        let mut next = known.len();
        let read = std::mem::take(&mut self.accounts);
        let places: Vec<usize> = read
            .iter()
            .map(|a| {
                let place = *of.entry(&a.name).or_insert(next);
                next = next.max(place + 1);
                place
            })
            .collect();
        if next > ACCOUNTS_MAX {
            return Err(format!(
                "accounts: there have been {next} since the start, by their names, and {ACCOUNTS_MAX} is the most: restart \
                 the server"
            ));
        }
        let mut accounts: Vec<Account> = known.iter().map(|a| Account::gone(&a.name)).collect();
        accounts.resize_with(next, Account::default);
        for (mut account, place) in read.into_iter().zip(&places) {
            if *account.shares != Shares::default() {
                Arc::make_mut(&mut account.shares).move_accounts(&places);
            }
            accounts[*place] = account;
        }
        self.accounts = accounts;
        self.system = self.system.map(|place| places[place]);
        self.users.iter_mut().for_each(|user| user.account = places[user.account]);
        if let Some(trust) = &mut self.trust {
            Arc::make_mut(trust).charters.values_mut().for_each(|c| c.account = places[c.account]);
        }
        Ok(())
    }
}

impl Shares {
    /// Accounts have other places: by their old ones.
    fn move_accounts(&mut self, places: &[usize]) {
        let to = |place: &mut u16| *place = places[usize::from(*place)] as u16;
        self.streams.iter_mut().chain(&mut self.timed.streams).for_each(|s| to(&mut s.from));
        self.services.iter_mut().chain(&mut self.timed.services).for_each(|s| to(&mut s.to));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::load;
    use crate::policy::source::Text;
    use std::path::Path;

    fn auth(text: &str) -> Auth {
        load(Path::new("f.conf"), &mut Text(text)).unwrap_or_else(|e| panic!("{e:#?}")).settings.auth
    }

    const A: &str = "A {users: [{user: a, password: p}], exports: [{stream: s}, {service: q}]}";
    const B: &str = "B {users: [{user: b, password: p}], imports: [{stream: {account: A, subject: s}}, \
                     {service: {account: A, subject: q}}]}";

    fn after(known: &Auth, text: &str) -> Auth {
        let mut auth = auth(text);
        auth.keep_places(&known.accounts).unwrap();
        auth
    }

    /// Names with their places; those that have gone in brackets.
    fn names(auth: &Auth) -> Vec<String> {
        let name = |a: &Account| if a.gone { format!("({})", a.name) } else { a.name.clone() };
        auth.accounts.iter().map(name).collect()
    }

    #[test]
    fn names_keep_their_places_whatever_comes_and_goes() {
        let first = auth(&format!("accounts {{ {B}\n {A} }}"));
        assert_eq!(names(&first), ["$G", "$SYS", "B", "A"]);
        let second = after(&first, &format!("accounts {{ C {{}}\n {A} }}"));
        assert_eq!(names(&second), ["$G", "$SYS", "(B)", "A", "C"]);
        assert_eq!(second.users.iter().map(|u| u.account).collect::<Vec<_>>(), [3]);
        let third = after(&second, &format!("accounts {{ {A}\n D {{}}\n {B} }}"));
        assert_eq!(names(&third), ["$G", "$SYS", "B", "A", "(C)", "D"]);
        assert_eq!(third.users.iter().map(|u| u.account).collect::<Vec<_>>(), [3, 2]);
        let b = &third.accounts[2];
        assert_eq!((b.shares.streams[0].from, b.shares.services[0].to), (3, 3));
        assert_eq!(b, &first.accounts[2], "as it was before it went");
        assert_eq!(after(&third, &format!("accounts {{ {B}\n D {{}}\n {A} }}")).accounts, third.accounts);
    }

    #[test]
    fn another_system_account_shows_by_its_place() {
        let old = auth("accounts {A {}, B {}}\nsystem_account: A");
        assert_eq!(after(&old, "accounts {B {}, A {}}\nsystem_account: A").system, old.system);
        assert_ne!(after(&old, "accounts {A {}, B {}}\nsystem_account: B").system, old.system);
    }

    #[test]
    fn more_names_than_there_are_places_need_a_restart() {
        let known: Vec<Account> = (0..ACCOUNTS_MAX).map(|n| Account::named(&n.to_string())).collect();
        let mut auth = Auth { accounts: vec![Account::named("7")], ..Auth::default() };
        auth.keep_places(&known).unwrap();
        assert_eq!(auth.accounts.len(), ACCOUNTS_MAX);
        auth.accounts = vec![Account::named("new")];
        assert!(auth.keep_places(&known).unwrap_err().ends_with("restart the server"));
    }
}
