"""The figures of designs: each takes the frame of a sweep's results, or plain lists, and gives a matplotlib figure."""
