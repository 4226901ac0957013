"""Is everything all right? What `meshctl doctor` looks at, one module for each group of checks.

table      every check, in the order in which they are shown
finding    what a check is, and what it may say
facts      what is read of the machine, the home, the store and the proxies: once, by whichever check asks first
running    all checks at once, each by itself: one that breaks or hangs says so and spoils nothing else
bundle     all of it and more in one archive, without secrets
"""
