/* Classifies the images compiled in, one digit an image. */
#include "images.h"
#include "net.h"

void put_char(char c);

int main(void) {
  for (int i = 0; i < IMAGES; i++) put_char((char)('0' + net_classify(images[i])));
  put_char('\n');
  return 0;
}
