# docker build -t ser . && docker run -p 127.0.0.1:8080:8080 ser        the service, with its page
# docker run -v "$PWD:/data:ro" ser predict /data/recording.wav         the program
FROM debian:bookworm-slim AS build
COPY . /src
WORKDIR /src
RUN sh setup.sh packages && meson setup build-image --buildtype=release --prefix=/usr -Dtests=false && \
    DESTDIR=/image meson install -C build-image

FROM debian:bookworm-slim
COPY --from=build /image /
RUN apt-get update && apt-get install -y --no-install-recommends libdnnl2 libgomp1 libsndfile1 libmpg123-0 libsoxr0 libkissfft-float131 \
      libjansson4 libmd0 libcairo2 libfontconfig1 libhdf5-103-1 libxlsxwriter4 libcurl4 libzip4 libwebsockets17 libportaudio2 libprotobuf-c1 fonts-dejavu-core ffmpeg && \
    rm -rf /var/lib/apt/lists/* && useradd --system ser
USER ser
EXPOSE 8080
ENTRYPOINT ["/usr/bin/ser"]
CMD ["serve", "--host", "0.0.0.0"]
