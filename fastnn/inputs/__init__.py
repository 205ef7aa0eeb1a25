"""From what a person has in hand to the arrays that kernels take, and back to answers in the person's own words.

- `tables`: frames and arrays of any kind of number; column names.
- `scaling`: shift and unit of every column, and what stands for a missing value.
- `labels`: classes, several labels at once, or quantities; class weights.
- `reader`: what one network knows of its data, made of the three.
- `streams`: data in pieces, read while others are trained on.
"""
