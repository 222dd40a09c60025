// AudioWorklet
