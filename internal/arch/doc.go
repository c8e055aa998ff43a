// Package arch holds the tests that keep the shape of the repository: who may
// import whom, where heavy dependencies live, that packages are documented,
// files and functions short, and links in documents not broken. It has no code;
// the tables in its tests are the rules, and each row says why.
package arch
