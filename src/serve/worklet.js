/* Gives the microphone's samples to the page, in pieces of about a twentieth of a second. */
class Pcm extends AudioWorkletProcessor {
  constructor() {
    super();
    this.piece = new Float32Array(2048);
    this.n = 0;
  }
  process([input]) {
    const samples = input[0];
    for (let i = 0; samples && i < samples.length; i++) {
      this.piece[this.n++] = samples[i];
      if (this.n === this.piece.length) {
        this.port.postMessage(this.piece, [this.piece.buffer]);
        this.piece = new Float32Array(2048);
        this.n = 0;
      }
    }
    return true;
  }
}
registerProcessor("pcm", Pcm);
