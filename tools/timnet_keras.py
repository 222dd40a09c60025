"""The temporal network in Keras, as src/model/timnet.h describes it: what reads a run's weights.h5.

    import keras                                     # or: import tf_keras as keras, for Keras 2
    from timnet_keras import build
    network = build(keras, n_in=128, n_labels=7)     # the sizes stand in the run's config.json
    network.load_weights("runs/.../fold-1/weights.h5")
    logits = network.predict(frames[None])           # frames (n_frames, n_in): one recording

It answers with logits. Recordings of several lengths cannot share a batch here: this network has no masks.
"""

EPSILON, MOMENTUM, DENSE = 1e-3, 0.99, (128, 64)


def build(keras, n_in, n_labels, filter_size=128, kernel_size=3, dilation_size=8, stack_size=3, activation="relu",
          dropout=0.4):
    layers = keras.layers

    class Reverse(layers.Layer):
        def call(self, x):
            return x[:, ::-1, :]

    class WeightedSum(layers.Layer):
        def build(self, input_shape):
            n = len(input_shape)
            self.kernel = self.add_weight(name="kernel", shape=(n,), initializer=keras.initializers.Constant(1 / n))

        def call(self, inputs):
            return sum(self.kernel[i] * x for i, x in enumerate(inputs))

    def block(x, name, dilation):
        z = x
        for i in (1, 2):
            z = layers.Conv1D(filter_size, kernel_size, padding="causal", dilation_rate=dilation, name=f"{name}_conv{i}")(z)
            z = layers.BatchNormalization(momentum=MOMENTUM, epsilon=EPSILON, name=f"{name}_norm{i}")(z)
            z = layers.Activation(activation, name=f"{name}_activation{i}")(z)
            z = layers.SpatialDropout1D(dropout, name=f"{name}_dropout{i}")(z)
        gate = layers.Activation("sigmoid", name=f"{name}_gate")(z)
        return layers.Multiply(name=f"{name}_output")([x, gate])

    frames = keras.Input((None, n_in), name="frames")
    streams = [
        layers.Conv1D(filter_size, 1, name="forward_input")(frames),
        layers.Conv1D(filter_size, 1, name="backward_input")(Reverse(name="reverse")(frames)),
    ]
    means = []
    for i in range(stack_size * dilation_size):
        for d, stream in enumerate(("forward", "backward")):
            streams[d] = block(streams[d], f"{stream}_block{i}", 2 ** (i % dilation_size))
        both = layers.Add(name=f"block{i}_sum")(streams)
        means.append(layers.GlobalAveragePooling1D(name=f"block{i}_mean")(both))
    x = WeightedSum(name="weighting")(means)
    for i, units in enumerate(DENSE, 1):
        x = layers.Dense(units, activation="relu", name=f"dense{i}")(x)
        x = layers.Dropout(dropout, name=f"dropout{i}")(x)
    return keras.Model(frames, layers.Dense(n_labels, name="output")(x), name="timnet")
