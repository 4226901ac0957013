"""The gateway as its users meet it: started by its command, spoken to by real clients, in front of real servers."""
