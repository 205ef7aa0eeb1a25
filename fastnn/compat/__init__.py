"""Classes with the names and argument orders of well-known teaching code, running on the engine in float64.

Change the import line of a script and it trains the same network from the same random numbers, many times faster:

- `fastnn.compat.nielsen`: ``Network`` of M. Nielsen's book "Neural Networks and Deep Learning".
- `fastnn.compat.musings`: ``NN`` of the blog post "Musings over Backpropagation", with the slips of its code mended.
- `fastnn.compat.notebook`: ``FeedForwardNeuralNetwork`` of a notebook, which says what goes wrong in its test drive.

Import the module you need; nothing is imported here.
"""
