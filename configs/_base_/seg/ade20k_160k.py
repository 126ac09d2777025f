"""160,000 iterations on ADE20K at 512 pixels: data, schedule and runtime."""

_base_ = ['./ade20k.py', './schedule_160k.py', './runtime.py']
