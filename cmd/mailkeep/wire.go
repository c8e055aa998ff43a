package main

// wire plugs the application in.
func wire() application { return application{} }
